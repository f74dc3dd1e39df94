/** Layout of the files that C peers map: rings far apart, blocks behind them. */
export const FILE_THERE_OFFSET = 4096;
export const FILE_BACK_OFFSET = 8 * 1024 * 1024;
export const FILE_BLOCKS_OFFSET = 16 * 1024 * 1024;
