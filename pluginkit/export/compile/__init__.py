"""From generated C++ to shared libraries, with g++ alone."""
