"""Put float16 or bfloat16 into a model, where its nodes can compute in it."""
