"""From a declared step to work on a stream: specialise, compile, load, pack, launch."""
