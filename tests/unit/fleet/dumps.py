"""What `nvidia-smi -q -x` prints, as drivers of several years do, with what stands around the names."""

from __future__ import annotations

_GPU = """\
	<gpu id="{id}">
		<product_name>{product}</product_name>
		<product_brand>NVIDIA</product_brand>
		<product_architecture>Ampere</product_architecture>
		<display_mode>Enabled</display_mode>
		<persistence_mode>Enabled</persistence_mode>
		<addressing_mode>None</addressing_mode>
		<mig_mode>
			<current_mig>{mig}</current_mig>
			<pending_mig>{mig}</pending_mig>
		</mig_mode>
		<mig_devices>{devices}</mig_devices>
		<serial>1654922006536</serial>
		<uuid>GPU-{id}-d1a2-3c4d-5e6f-0123456789ab</uuid>
		<minor_number>0</minor_number>
		<vbios_version>92.00.45.00.03</vbios_version>
		<gpu_virtualization_mode>
			<virtualization_mode>None</virtualization_mode>
		</gpu_virtualization_mode>
		<pci>
			<pci_bus>07</pci_bus>
			<pci_gpu_link_info>
				<pcie_gen>
					<max_link_gen>4</max_link_gen>
				</pcie_gen>
			</pci_gpu_link_info>
		</pci>
		<fb_memory_usage>
			<total>81920 MiB</total>
		</fb_memory_usage>
		<supported_clocks>
			<supported_mem_clock>
				<value>1593 MHz</value>
				<supported_graphics_clock>1410 MHz</supported_graphics_clock>
			</supported_mem_clock>
		</supported_clocks>
		<processes>
			<process_info>
				<process_name>python &lt;train.py&gt; &amp;</process_name>
			</process_info>
		</processes>
	</gpu>
"""
_MIG = """
			<mig_device>
				<index>0</index>
				<gpu_instance_id>2</gpu_instance_id>
				<compute_instance_id>0</compute_instance_id>
				<device_attributes>
					<shared>
						<multiprocessor_count>42</multiprocessor_count>
					</shared>
				</device_attributes>
			</mig_device>
		"""


def dump(driver: str, *products: str, is_divided: bool = False, version: str = "_v12") -> str:
    """A machine with these GPUs. With `is_divided` they are in MIG mode."""
    gpus = "".join(
        _GPU.format(
            id=f"00000000:{place:02X}:00.0",
            product=product,
            mig="Enabled" if is_divided else "N/A",
            devices=_MIG if is_divided else "\n\t\t\tNone\n\t\t",
        )
        for place, product in enumerate(products, 7)
    )
    return (
        '<?xml version="1.0" ?>\n'
        f'<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device{version}.dtd">\n'
        "<nvidia_smi_log>\n"
        "\t<timestamp>Mon Jul 15 13:41:56 2024</timestamp>\n"
        f"\t<driver_version>{driver}</driver_version>\n"
        "\t<cuda_version>12.2</cuda_version>\n"
        f"\t<attached_gpus>{len(products)}</attached_gpus>\n"
        f"{gpus}\n</nvidia_smi_log>\n"
    )
