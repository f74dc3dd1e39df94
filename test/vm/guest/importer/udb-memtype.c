// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * What kind of memory a process's mapping is, as the processor's page table says; for
 * test/vm only.  Write an address that was touched to /dev/udb-memtype; reading gives
 * "write-back", "non-cacheable" or "other".
 */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pgtable.h>
#include <linux/sched.h>
#include <linux/uaccess.h>

#ifdef CONFIG_ARM64

#include <asm/sysreg.h>

static const char *memory_type(pte_t pte)
{
	unsigned int index = (pte_val(pte) & PTE_ATTRINDX_MASK) >> 2;

	switch (read_sysreg(mair_el1) >> (8 * index) & 0xff) {
	case 0xff:
		return "write-back";
	case 0x44:
		return "non-cacheable";
	}
	return "other";
}

#else

static const char *memory_type(pte_t pte)
{
	return pte_val(pte) & (_PAGE_PWT | _PAGE_PCD | _PAGE_PAT) ? "other" : "write-back";
}

#endif

/* Return: NULL if there is no page, or a huge one. */
static const char *type_at(struct mm_struct *mm, unsigned long address)
{
	const char *type = NULL;
	pgd_t *pgd;
	p4d_t *p4d;
	pud_t *pud;
	pmd_t *pmd;
	pte_t pte;

	mmap_read_lock(mm);
	pgd = pgd_offset(mm, address);
	if (pgd_none(*pgd) || pgd_bad(*pgd))
		goto unlock;
	p4d = p4d_offset(pgd, address);
	if (p4d_none(*p4d) || p4d_bad(*p4d))
		goto unlock;
	pud = pud_offset(p4d, address);
	if (pud_none(*pud) || pud_bad(*pud))
		goto unlock;
	pmd = pmd_offset(pud, address);
	if (pmd_none(*pmd) || pmd_bad(*pmd))
		goto unlock;
	pte = READ_ONCE(*pte_offset_kernel(pmd, address));
	if (pte_present(pte))
		type = memory_type(pte);
unlock:
	mmap_read_unlock(mm);
	return type;
}

static ssize_t memtype_write(struct file *file, const char __user *buf, size_t count, loff_t *pos)
{
	unsigned long address;
	int error = kstrtoul_from_user(buf, count, 0, &address);

	if (error)
		return error;
	file->private_data = (void *)type_at(current->mm, address);
	return file->private_data ? count : -EFAULT;
}

static ssize_t memtype_read(struct file *file, char __user *buf, size_t count, loff_t *pos)
{
	const char *type = file->private_data;
	loff_t start = 0;

	return type ? simple_read_from_buffer(buf, count, &start, type, strlen(type)) : -ENODATA;
}

/* misc_open leaves its own pointer there. */
static int memtype_open(struct inode *inode, struct file *file)
{
	file->private_data = NULL;
	return 0;
}

static const struct file_operations memtype_fops = {
	.owner = THIS_MODULE,
	.open = memtype_open,
	.read = memtype_read,
	.write = memtype_write,
};

static struct miscdevice memtype_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "udb-memtype",
	.fops = &memtype_fops,
};

module_misc_device(memtype_misc);
MODULE_DESCRIPTION("memory types of mappings for the tests of u-dma-buf");
MODULE_LICENSE("Dual MIT/GPL");
