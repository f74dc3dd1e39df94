// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * A board behind PCI as a set of UIO devices, for test/vm only: an ivshmem
 * device whose BAR 2 holds the registers.  Each MSI-X vector is a /dev/uioN of
 * its own with the registers as map 0, because a UIO device has one interrupt:
 * vector q is queue q.
 */
#include <linux/interrupt.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/uio_driver.h>

#define IVSHMEM_VENDOR 0x1af4
#define IVSHMEM_DEVICE 0x1110
#define REGISTER_BAR 2
#define MAX_VECTORS 4

struct board {
	struct uio_info queues[MAX_VECTORS];
	int count;
};

static irqreturn_t board_interrupt(int irq, struct uio_info *info)
{
	/* Edge-triggered, acknowledged by the host's cqHead. */
	return IRQ_HANDLED;
}

/* MSI-X needs no unmasking. */
static int board_irqcontrol(struct uio_info *info, s32 on)
{
	return 0;
}

static int board_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct board *board;
	int ret, q;

	board = devm_kzalloc(&pdev->dev, sizeof(*board), GFP_KERNEL);
	if (!board)
		return -ENOMEM;
	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;
	pci_set_master(pdev);
	ret = pci_alloc_irq_vectors(pdev, 1, MAX_VECTORS, PCI_IRQ_MSIX);
	if (ret < 0)
		return ret;
	board->count = ret;
	pci_set_drvdata(pdev, board);
	for (q = 0; q < board->count; q++) {
		struct uio_info *info = &board->queues[q];

		info->name = "physring-board";
		info->version = "1";
		info->mem[0].name = "registers";
		info->mem[0].addr = pci_resource_start(pdev, REGISTER_BAR);
		info->mem[0].size = pci_resource_len(pdev, REGISTER_BAR);
		info->mem[0].memtype = UIO_MEM_PHYS;
		info->irq = pci_irq_vector(pdev, q);
		info->handler = board_interrupt;
		info->irqcontrol = board_irqcontrol;
		ret = uio_register_device(&pdev->dev, info);
		if (ret)
			goto unregister;
	}
	return 0;

unregister:
	while (q--)
		uio_unregister_device(&board->queues[q]);
	pci_free_irq_vectors(pdev);
	return ret;
}

static void board_remove(struct pci_dev *pdev)
{
	struct board *board = pci_get_drvdata(pdev);
	int q;

	for (q = 0; q < board->count; q++)
		uio_unregister_device(&board->queues[q]);
	pci_free_irq_vectors(pdev);
}

static const struct pci_device_id board_ids[] = {
	{ PCI_DEVICE(IVSHMEM_VENDOR, IVSHMEM_DEVICE) },
	{ }
};
MODULE_DEVICE_TABLE(pci, board_ids);

static struct pci_driver board_driver = {
	.name = "physring-board",
	.id_table = board_ids,
	.probe = board_probe,
	.remove = board_remove,
};
module_pci_driver(board_driver);

MODULE_DESCRIPTION("A board behind an ivshmem device as UIO devices");
MODULE_LICENSE("Dual MIT/GPL");
