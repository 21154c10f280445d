"""Networks that learn: fine-tuning, distillation, quantisation. Plain Python over torch, no Django."""
