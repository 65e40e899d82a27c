#include "../_cuda/elimination.cuh"
