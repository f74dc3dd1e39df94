# The defects.  First those that u-dma-buf 5.5.0 was measured to have, then one for each
# promise of docs/KERNEL.md that a small slip would break.

X86=x86_64-6.1
ARM=arm64-6.1

# ---- defects of u-dma-buf 5.5.0 ----

mutant private-mapping $X86 main map.c \
	's/!(vma->vm_flags & VM_MAYSHARE)/false/' \
	'MODES=2; matrices' 'vma: a private mapping|kernel BUG'

mutant delete-frees-mapped-memory $X86 main device.c \
	's/udb_memory_detach(udev->memory);/&\n\tudb_source_give(udev->memory);/' \
	'deleted_in_use 2' \
	'in other memory|hold: '

mutant first-page-only $X86 main source.c \
	's/split_page(page, order);/(void)0;/' \
	'MODES=4; matrices' 'mode 4|vma: |BUG'

mutant insmod-hides-failure $X86 main main.c \
	's/error = udb_create_one(largest);/udb_create_one(largest);/' \
	'failures_of_insmod' 'too much of the memory: insmod succeeded'

mutant parameter-cut-to-32-bits $X86 main main.c \
	's/\.size = udb_sizes\[index\]/.size = (u32)udb_sizes[index]/' \
	'failures_of_insmod' '4 GiB in a small machine: insmod succeeded'

mutant command-cut-to-32-bits $X86 main manager.c \
	's/if (!create->spec.size || /if (!(u32)create->spec.size)\n\t\treturn 0;\n\tif (/' \
	'managed' 'refused: create x 0x100000000'

mutant sync-size-zero $X86 main device.c \
	's/if (!udev->sync.size)/if (false)/' \
	'bound_to_pci' 'sync_size of a bound buffer is its size'

mutant region-never-released $ARM devicetree source.c \
	's/if (m->owns_region)/if (false)/' \
	'. /guest/devicetree.sh' 'no-map: bind after the last close|10 times load and unload'

mutant open-mode-ignored-by-sync $X86 main ioctl.c \
	's/return !for_device || .*;/return true;/' \
	'interface; unload' 'read-only open: SET_SYNC_FOR_DEVICE'

mutant open-mode-ignored-by-export $X86 main dmabuf.c \
	's/!(file->f_mode & FMODE_WRITE)/false/' \
	'interface; unload' 'read-only open: EXPORT for writing'

mutant open-mode-ignored-by-ring $X86 main ioctl.c \
	's/if (!(file->f_mode & FMODE_WRITE))/if (false)/' \
	'doorbells' 'RING by a read-only open'

mutant open-mode-ignored-by-create $X86 main manager.c \
	's/if (!(file->f_mode & FMODE_WRITE))/if (false)/' \
	'by_ioctl' 'manage: create by a read-only open'

mutant removal-not-noticed $X86 main bind.c \
	's/udb_bound_destroy(data);/(void)data;/' \
	'bound_to_pci' 'removal of the PCI device removes the node|BUG'

mutant export-puts-twice $X86 main dmabuf.c \
	's/^\t\tfput(file);/&\n\t\tfput(file);/' \
	'injected' 'inject: |rmmod after all failures|BUG|Kernel panic'

mutant sync-range-shared-by-opens $X86 main ioctl.c \
	's/uf->sync = sync;/uf->udev->sync = sync;/
	 s/uf->own_sync = true;/uf->own_sync = false;/' \
	'interface; unload' 'another open keeps its size'

mutant fault-answers-0 $X86 main file.c \
	's/return done ? done : -EFAULT;/return done;/' \
	'interface; unload' 'a read to nowhere'

# ---- content ----

mutant not-cleared-when-given-back $X86 main source.c \
	's/page_count(page) == 1 && !want_init_on_free()/false/' \
	'interface; zeroed' 'none of it after unload'

mutant not-cleared-when-made $X86 main source.c \
	's/m->kind != U_DMA_BUF_MEMORY_POOL && !want_init_on_alloc(GFP_KERNEL)/false/' \
	'interface; zeroed' 'a new buffer is zero'

mutant pipe-pages-cleared $X86 main source.c \
	's/page_count(page) == 1 && !want_init_on_free()/true/' \
	'pages_in_a_pipe' 'hold: '

mutant pipe-pages-given-to-cma $ARM main source.c \
	's/if (!udb_each_count_is_one(m))$/if (false)/' \
	'pages_in_a_pipe' 'pipe|hold: |still in use|BUG|Kernel panic'

# ---- reach and addresses ----

mutant bounce-not-refused $X86 swiotlb dma.c \
	's/if (!udb_dma_is_direct(dev, addr/if (false \&\& !udb_dma_is_direct(dev, addr/' \
	'. /guest/swiotlb.sh' 'swiotlb=force'

mutant adopted-bounce-not-refused $X86 swiotlb adopt.c \
	's/if (!udb_pins_are_direct(a, dev))/if (false)/' \
	'. /guest/swiotlb.sh' 'adopt: memory that would bounce'

mutant mask-ignored-by-contig $X86 large contig.c \
	's/limit == PHYS_ADDR_MAX ? ULONG_MAX : PHYS_PFN(limit + 1)/ULONG_MAX/' \
	'below_4_gib' '67108864 (bytes )?below 4 GiB'

mutant bound-buffer-made-for-another $X86 iommu bind.c \
	's/udev = udb_device_create(dev, spec);/udev = udb_device_create(dev->parent, spec);/' \
	'. /guest/iommu.sh' 'edu|insmod behind|addresses are told apart|Kernel panic'

mutant cpu-address-told-as-device-address $X86 iommu dma.c \
	's/\*addr = m->dma_addr;/*addr = udb_phys(m);/' \
	'. /guest/iommu.sh' 'two addresses are told apart|edu'

mutant driverless-device-taken $ARM main bind.c \
	's/return dev->driver || .*;/return true;/' \
	'driver_unbound' 'create for a device without driver'

# ---- caches ----

mutant no-maintenance $ARM main dma.c \
	's/m->coherent || !size/true/' \
	'maintained' 'maintenance: a word with a range'

mutant dma-buf-not-for-its-own-device $ARM main dmabuf.c \
	's/^\tudb_sync_bytes(e->memory.*;/(void)e;/' \
	'maintained' 'maintenance: CPU access to a dma-buf begins'

mutant write-keeps-old-lines $ARM main file.c \
	's/error = udb_sync_bytes(m, pos, count, DMA_FROM_DEVICE, false);/error = to_buffer ? 0 : udb_sync_bytes(m, pos, count, DMA_FROM_DEVICE, false);/' \
	'maintained' 'maintenance: write with O_SYNC'

mutant ranges-checked-one-by-one $ARM main ioctl.c \
	's/if (!udb_is_range(uf->memory/if (false \&\& !udb_is_range(uf->memory/' \
	'maintained' 'maintenance: SYNC_RANGES with one range that leaves'

mutant always-cached $ARM main map.c \
	's/vma->vm_page_prot = pgprot_writecombine(vma->vm_page_prot);/(void)0;/' \
	'attributes' 'memattr: sync_mode 1 with O_SYNC'

# ---- life ----

mutant unbinding-not-noticed $X86 main bind.c \
	's/event == BUS_NOTIFY_UNBIND_DRIVER/false/' \
	'driver_unbound' "unbinding the device's driver removes|no address when the device is gone"

mutant address-told-after-detach $X86 main dma.c \
	'/^int udb_dma_addr/,/^}/s/if (m->dma_dev)/if (true)/' \
	'unbind_in_use' 'hold: .*ENODEV|hold: '

# That of a node is held by the character device as well.
mutant module-may-go-with-anonymous $X86 main file.c \
	's/\.owner\t\t= THIS_MODULE,/.owner = NULL,/' \
	'by_ioctl' 'rmmod while anonymous has a descriptor|Oops|BUG'

mutant module-may-go-with-adopted $X86 main adopt.c \
	's/\.owner = THIS_MODULE,/.owner = NULL,/' \
	'adoption' 'rmmod while adopt has a descriptor|Oops|BUG'

mutant dma-buf-holds-no-file $X86 main dmabuf.c \
	's/e->file = get_file(file);/e->file = file;/
	 s/^\tfput(e->file);/(void)0;/
	 s/^\t\tfput(file);/(void)0;/' \
	'exported_in_use' 'hold: |rmmod|BUG|Oops|general protection'

mutant same-instance-id $X86 main memory.c \
	's/get_random_bytes(m->instance_id, sizeof(m->instance_id));/memset(m->instance_id, 1, 16);/' \
	'unbind_in_use' 'it has another instance id'

mutant ties-not-cut $X86 main bind.c \
	's/udb_cut_ties(data);/(void)0;/' \
	'by_ioctl' 'anonymous: no address when the device is gone'

mutant leak-when-registration-fails $X86 main device.c \
	'/^put_udev:/,/^put_minor:/s/put_device(&udev->dev);/(void)0;/' \
	'injected' 'a failed insmod loses no buffer|inject: '

mutant quirks-in-another-order $ARM devicetree devicetree.c \
	's/{ "quirk-mmap-on", U_DMA_BUF_MMAP_ON },/{ "quirk-mmap-off", U_DMA_BUF_MMAP_OFF },/;t
	 s/{ "quirk-mmap-off", U_DMA_BUF_MMAP_OFF },/{ "quirk-mmap-on", U_DMA_BUF_MMAP_ON },/' \
	'. /guest/devicetree.sh' 'quirk-mmap-off goes before on'

mutant no-old-name-of-the-manager $X86 main main.c \
	's/^MODULE_ALIAS.*//' \
	'by_the_managers_old_name' 'modprobe u-dma-buf-mgr'

mutant leak-of-minors $X86 main device.c \
	'/^void udb_device_destroy/,/^}/s/ida_free(&udb_minors, minor);/(void)minor;/' \
	'unbind_in_use' 'bind makes a new one'

mutant deletes-what-parameters-made $X86 main bind.c \
	's/udev->managed \&\& //' \
	'managed' "delete of a parameter's bound buffer"

mutant smallest-first $X86 main main.c \
	's/udb_sizes\[i\] > udb_sizes\[largest\]/udb_sizes[i] < udb_sizes[largest]/' \
	'largest_first' 'the largest buffer is made first'

# ---- mappings ----

mutant two-attributes-at-once $ARM main map.c \
	's/other->maps && !udb_mixed_attributes/false/' \
	'attributes' 'memattr'

mutant fork-not-counted $ARM main map.c \
	'/^static void udb_vma_open/,/^}/s/view->maps++;/(void)view;/' \
	'attributes' 'memattr'

mutant mapping-behind-the-end $X86 main map.c \
	's/count > m->nr_pages - vma->vm_pgoff/false/' \
	'interface; unload' 'mmap of one page too many'

mutant no-dirty-folio $X86 main cache.c \
	's/\.dirty_folio = udb_dirty_folio,//' \
	'MODES=5; matrices' 'mode 5|BUG'

mutant futex-without-key $X86 main cache.c \
	's/folio->mapping = mapping;/folio->mapping = NULL;/' \
	'MODES=5; matrices' 'mode 5|BUG'

mutant sync-outside $X86 main dma.c \
	's/size <= m->size - offset/true/' \
	'interface; unload' 'SYNC_RANGES, one byte too many'

mutant no-32-bit-ioctl $X86 main file.c \
	's/\.compat_ioctl.*,//' \
	'interface; unload' 'compat: GET_SIZE'

mutant no-32-bit-ioctl-of-the-manager $X86 main manager.c \
	's/\.compat_ioctl.*,//' \
	'interface; unload' 'compat: CREATE'

mutant no-32-bit-ioctl-of-the-adopted $X86 main adopt.c \
	's/\.compat_ioctl.*,//' \
	'interface; unload' 'compat: GET_SEGMENTS'

mutant page-offset-cut $X86 large map.c \
	's/^int udb_mmap(.*/static struct vm_area_struct *udb_cut(struct vm_area_struct *vma)\n{\n\tvma->vm_pgoff \&= 0xfffff;\n\treturn vma;\n}\n\n&/
	 s/unsigned long count = vma_pages(vma);/unsigned long count = vma_pages(udb_cut(vma));/' \
	'gibibytes' 'large: far: a mapping'

mutant offset-cut-to-32-bits $X86 large file.c \
	's/struct page \*page = udb_page(m, (pos + done)/struct page *page = udb_page(m, (u32)(pos + done)/' \
	'gibibytes' 'large: far'

mutant imported-bounce-not-refused $X86 large dmabuf.c \
	's/if (!udb_table_is_direct(e, a))/if (false)/' \
	'gibibytes' 'export: to a device that does not reach it'

# ---- doorbells ----

mutant ring-wakes-nobody $X86 main doorbell.c \
	'/^long udb_ring/,/^}/s/wake_up_poll(.*);/(void)error;/' \
	'doorbells' 'doorbell.c.*(epoll_wait|woken_poll)'

mutant removal-wakes-nobody $X86 main doorbell.c \
	'/^void udb_bells_gone/,/^}/s/wake_up_poll(.*);/(void)first;/' \
	'doorbells' 'removal ends poll'

mutant removal-rings-no-eventfd $X86 main doorbell.c \
	's/udb_signal(bells, U_DMA_BUF_DOORBELLS_MASK);/(void)0;/' \
	'doorbells' 'hangs'

mutant listen-forgets $X86 main doorbell.c \
	's/fresh = mask & ~listener->mask;/fresh = mask;/' \
	'doorbells' 'which rang|how often'

mutant take-to-nowhere-takes $X86 main ioctl.c \
	's/udb_untake_rings(.*);/(void)0;/' \
	'doorbells' 'nothing was lost by it'

mutant closed-eventfd-signalled $X86 main doorbell.c \
	'/^void udb_listener_remove/,/^}/s/list_del(&listener->link);/(void)0;/' \
	'doorbells' 'doorbell|BUG|general protection|hangs'

# ---- buffers without a name, adoption ----

mutant quota-not-returned $X86 main memory.c \
	's/udb_quota_return(m->payer, udb_map_size(m));/(void)m;/' \
	'by_ioctl' 'quota: the last user of one returns it'

mutant quota-charges-a-byte-less $X86 main quota.c \
	's/p->bytes += bytes;/p->bytes += bytes - 1;/' \
	'by_ioctl' 'quota'

mutant no-limit-per-user $X86 main quota.c \
	's/(per_user && /(false \&\& /' \
	'by_ioctl' "more than one user's part"

mutant quota-for-everybody $X86 main anonymous.c \
	's/\.charged = !capable(CAP_SYS_ADMIN)/.charged = false/' \
	'by_ioctl' 'quota: none by default'

mutant parent-for-everybody $X86 main anonymous.c \
	'/^static struct device \*udb_anonymous_device/,/^}/s/!capable(CAP_SYS_ADMIN)/false/' \
	'by_ioctl' 'quota: a parent is for root'

mutant adopts-device-memory $X86 main adopt.c \
	's/return S_ISREG(.*;/return inode || magic;/' \
	'adoption' 'adopt'

mutant adoption-not-unpinned $X86 main adopt.c \
	's/unpin_user_pages_dirty_lock(a->pages, a->nr_pinned, true);/(void)0;/' \
	'adoption' 'adopt|lost'

mutant adoption-without-limit $X86 main adopt.c \
	's/pinned > limit \&\& !capable(CAP_IPC_LOCK)/false/' \
	'adoption' 'adopt'

mutant adoption-charge-not-returned $X86 main adopt.c \
	's/atomic64_sub(a->nr_pages, &a->mm->pinned_vm);/(void)0;/' \
	'adoption' 'adopt'
