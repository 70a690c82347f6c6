"""Networks, pure: tensors in, tensors out, the very modules that are exported."""
