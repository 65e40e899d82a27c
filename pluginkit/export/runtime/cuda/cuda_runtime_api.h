// The two handles of CUDA that NVIDIA's TensorRT headers need. With this file on the include path
// they compile without CUDA.
#pragma once

typedef struct CUstream_st* cudaStream_t;
typedef struct CUevent_st* cudaEvent_t;
