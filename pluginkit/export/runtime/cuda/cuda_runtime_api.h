// What NVIDIA's TensorRT headers need of CUDA's: two handles. With this file on the include path
// they compile where no CUDA is.
#pragma once

typedef struct CUstream_st* cudaStream_t;
typedef struct CUevent_st* cudaEvent_t;
