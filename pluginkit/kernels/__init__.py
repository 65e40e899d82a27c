"""Turn declared steps into work on a stream: specialise, compile, load, pack, launch."""
