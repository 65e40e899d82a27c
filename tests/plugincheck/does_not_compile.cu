template <typename T> __global__ void copy(T* y, const T* x, long long n) {
    y[0] = ;
}
