"""Any open chat model as an organism: LoRA fine-tuning on the organisms' grammar."""
