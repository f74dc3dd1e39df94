/** Where frames come from, as the demo's source sees it. */

/** Format of a stream of raw frames. */
export interface StreamFormat {
  readonly width: number;
  readonly height: number;
  /** Chroma format as Y4M names it: `420jpeg`, `422p10`, `mono` … */
  readonly colorSpace: string;
  readonly bitDepth: number;
  readonly frameBytes: number;
  /** Frames per second that the stream declares; null: it declares none. */
  readonly framesPerSecond: number | null;
}

export interface FrameSource {
  readonly format: StreamFormat;
  /** Writes the next frame into `target` (exactly frameBytes long); false at the end of the stream. */
  next(target: Uint8Array): Promise<boolean>;
}
