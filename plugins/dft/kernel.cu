// Discrete Fourier transforms in registers, which exchange their numbers through shared memory. Longer transforms, and
// those of lengths with large prime factors, are made of several launches, which plan.py describes.

#include "../_cuda/overlap.cuh"
#include "elements.cuh"
#include "staging.cuh"
#include "stockham.cuh"

template <Arrangement ARRANGEMENT, int ROWS, int COLUMNS>
constexpr int TRANSFORMS = ARRANGEMENT == Arrangement::ROWS ? ROWS : COLUMNS;

// Return for how many blocks a multiprocessor's registers suffice if each number has four. Where real numbers are transformed
// the compiler takes some more, and then the blocks of a batch do not all run at once; with few numbers it needs them. FEW
// blocks may take all: the compiler then reads all factors of a radix at once, and else some after others.
template <bool FEW, Store STORE, int THREADS, int LANES, int... RADICES> __device__ constexpr int resident_blocks() {
    if (FEW) return 1;
    const int numbers = most_numbers<LANES, RADICES...>(), warps = (THREADS + 31) / 32;
    if (STORE != Store::UNFOLDED || numbers < 16) return 0;
    return 65536 / (4 * 32 * 4 * numbers) * 4 / warps;  // four warps at once take registers
}

// Return whether no staged row is read any more when a transform begins, so that its results may be staged at once: the compiler
// then takes fewer registers. With 20 numbers it does not, and blocks would wait for all of their numbers in vain.
template <typename FFT, Store STORE> constexpr bool IS_READ_FIRST =
    FFT::STAGES == 1 && FFT::NUMBERS < 20 && STORE != Store::UNFOLDED;

// Return the R numbers from number `first`.
template <int R, int NUMBERS> __device__ __forceinline__ float2 (&part_of(float2 (&v)[NUMBERS], int first))[R] {
    return *reinterpret_cast<float2(*)[R]>(v + first);
}

// Read a thread's numbers. One that is not finite makes all results of its transform NaN.
template <typename FFT, typename Source>
__device__ __forceinline__ void read(float2 (&v)[FFT::NUMBERS], const Source& source) {
    FFT::template each_butterfly<FFT::FIRST>(FFT::before().lane, [&](int i, int butterfly) {
        source.template read<FFT::POINTS / FFT::FIRST>(part_of<FFT::FIRST>(v, i), butterfly);
    });
    float lost = 0.0f;
#pragma unroll
    for (int i = 0; i < FFT::NUMBERS; ++i) lost += 0.0f * v[i].x, lost += 0.0f * v[i].y;
    v[0] = v[0] + float2{lost, lost};
}

// Multiply results by a spectrum, and transform them back, with exchanged parts.
template <typename FFT>
__device__ __forceinline__ void convolve(float2 (&v)[FFT::NUMBERS], float* shared, const float2 (&spectrum)[FFT::NUMBERS]) {
#pragma unroll
    for (int i = 0; i < FFT::NUMBERS; ++i) v[i] = swapped(v[i] * spectrum[i]);
    FFT::sync();
    FFT::template run<true>(v, shared);
}

// Multiply the results of transform `sub` by the roots of unity between the passes of a long transform.
template <typename FFT> __device__ __forceinline__ void twist(float2 (&v)[FFT::NUMBERS], int whole, int sub) {
    constexpr int R = FFT::LAST, APART = FFT::POINTS / R, NEXT = FFT::THREADS_EACH;  // from a butterfly to the next
    const float2 w = root_of_unity(APART * sub, whole);
    const float2 fourth = root_of_unity(4LL * APART * sub % whole, whole);
    const float2 next = NEXT < APART ? root_of_unity(NEXT * sub, whole) : w;
    float2 first = root_of_unity(FFT::after().lane * sub, whole);
    FFT::template each_butterfly<R>(FFT::after().lane, [&](int i, int) {
        multiply_by_powers(part_of<R>(v, i), first, w, fourth);
        first = first * next;
    });
}

// Write a thread's results, to shared memory if they are STAGED.
template <typename FFT, Store STORE, bool STAGED, typename Target>
__device__ __forceinline__ void write(float2 (&v)[FFT::NUMBERS], float* shared, const Target& target, bool is_there) {
    constexpr int R = FFT::LAST, APART = FFT::POINTS / R;
    float2 mirrored[FFT::NUMBERS];
    if constexpr (STORE == Store::UNFOLDED) FFT::mirror(v, mirrored, shared);
    if constexpr (STAGED && !IS_READ_FIRST<FFT, STORE>) __syncthreads();
    if (!is_there) return;
    FFT::template each_butterfly<R>(FFT::after().lane, [&](int i, int butterfly) {
        if constexpr (STORE == Store::UNFOLDED) {
            target.template write_unfolded<APART>(part_of<R>(v, i), part_of<R>(mirrored, i), butterfly);
        } else {
            target.template write<APART>(part_of<R>(v, i), butterfly);
        }
    });
}

// Read, transform, and write. In between, the results may be multiplied by a spectrum and transformed back
// (IS_CONVOLVED) and multiplied by roots of unity (IS_TWISTED); x or y may be multiplied by a chirp.
template <typename T, bool IS_INVERSE, Load LOAD, bool IS_X_CHIRPED, bool IS_CONVOLVED, bool IS_TWISTED, Store STORE,
          bool IS_Y_CHIRPED, Arrangement ARRANGEMENT, bool FEW, int LENGTH, int LANES, int ROWS, int COLUMNS, int... RADICES>
__global__ void
    __launch_bounds__(LANES * TRANSFORMS<ARRANGEMENT, ROWS, COLUMNS>,
                      resident_blocks<FEW, STORE, LANES * TRANSFORMS<ARRANGEMENT, ROWS, COLUMNS>, LANES, RADICES...>())
    transform(T* __restrict__ y, const T* __restrict__ x, float2* between, Pass pass, long long transforms, float scale) {
    constexpr int PER_BLOCK = TRANSFORMS<ARRANGEMENT, ROWS, COLUMNS>;
    using FFT = Stockham<ARRANGEMENT, LANES, PER_BLOCK, RADICES...>;
    static_assert(!IS_CONVOLVED || FFT::FIRST == FFT::LAST);
    constexpr bool IS_WHOLE = LOAD != Load::WORKSPACE && !IS_TWISTED;
    constexpr bool IS_ROWS = IS_WHOLE && ARRANGEMENT == Arrangement::ROWS;
    using Before = Access<IS_WHOLE, ARRANGEMENT != Arrangement::COLUMNS>;
    using After = Access<IS_WHOLE, ARRANGEMENT == Arrangement::ROWS>;
    constexpr bool MAY_BE_STAGED = IS_ROWS && !FEW, X_IS_REAL = LOAD == Load::REAL, Y_IS_REAL = STORE == Store::REAL;
    using StagedX = Staging<MAY_BE_STAGED && is_staged<LANES, RADICES...>(LOAD, sizeof(T)), typename ElementOf<X_IS_REAL, T>::Type,
                            most_elements(LOAD, FFT::POINTS), LANES, PER_BLOCK>;
    using StagedY = Staging<MAY_BE_STAGED && is_staged(STORE, LANES), typename ElementOf<Y_IS_REAL, T>::Type,
                            most_elements(STORE, FFT::POINTS), LANES, PER_BLOCK>;
    constexpr int STAGED = StagedX::FLOATS > StagedY::FLOATS ? StagedX::FLOATS : StagedY::FLOATS;
    __shared__ alignas(16) float shared[FFT::SHARED_FLOATS > STAGED ? FFT::SHARED_FLOATS : STAGED];
    float2 v[FFT::NUMBERS] = {}, spectrum[FFT::NUMBERS];

    const long long first = static_cast<long long>(blockIdx.x) * PER_BLOCK;
    const int here = static_cast<int>(min(transforms - first, static_cast<long long>(PER_BLOCK)));
    const long long asked = transforms - (IS_X_CHIRPED && LENGTH == 0 ? pass.subs : 0);  // others are of the chirp
    const long long read_one = first + FFT::before().transform, written = first + FFT::after().transform;
    if constexpr (!IS_WHOLE) wait_for_earlier_launches();
    using From = Source<T, LOAD, IS_X_CHIRPED, LENGTH, IS_INVERSE, Before>;
    const StagedX staged_x(shared, pass.size / elements_each(LOAD));
    if (staged_x.is_used && pass.size % elements_each(LOAD) == 0) {
        staged_x.read(x, first, here);
        if (read_one < transforms) {
            read<FFT>(v, From(pass, staged_x.template row<T>(FFT::before().transform), between, 0, asked));
        }
        if constexpr (FFT::STAGES > 1 || IS_READ_FIRST<FFT, STORE>) __syncthreads();
    } else if (read_one < transforms) {
        const From one(pass, x, between, read_one, asked);
        read<FFT>(v, one);
        if constexpr (IS_CONVOLVED && LENGTH == 0) {
            read<FFT>(spectrum, From(pass, x, between, asked + one.sub, asked));
        }
    }
    if constexpr (IS_CONVOLVED && LENGTH == 0) {
        FFT::run(spectrum, shared);
        FFT::sync();
    }
    FFT::run(v, shared);

    const bool is_there = written < transforms;
    const StagedY staged_y(shared, pass.made / elements_each(STORE));
    T* const at = staged_y.is_used ? staged_y.template row<T>(FFT::after().transform) : y;
    const long long number = staged_y.is_used || !is_there ? 0 : written;
    const Target<T, STORE, IS_Y_CHIRPED, LENGTH, IS_INVERSE, After> to(pass, at, between, scale, number, asked);
    if constexpr (IS_CONVOLVED && LENGTH > 0) {
        FFT::template each<FFT::LAST>(FFT::after().lane, [&](int i, int butterfly, int q) {
            spectrum[i] = CHIRP_SPECTRUM<LENGTH, FFT::POINTS>.of[butterfly + q * (FFT::POINTS / FFT::LAST)];
        });
    }
    if constexpr (IS_CONVOLVED) convolve<FFT>(v, shared, spectrum);
    if constexpr (IS_TWISTED) twist<FFT>(v, pass.whole, to.sub);
    write<FFT, STORE, StagedY::IS_USED>(v, shared, to, is_there);
    if (staged_y.is_used) staged_y.write(y, first, here);
}
