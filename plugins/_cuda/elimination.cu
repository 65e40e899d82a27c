// The elimination of small matrices: a thread takes a matrix, or a row; and of the largest: a block takes a matrix.

#include "elimination.cuh"

using pluginkit::BLOCK, pluginkit::TEAM, pluginkit::WARP_BLOCK;  // from elimination.py

// A thread takes a matrix, in registers.
template <typename T, Purpose PURPOSE, int SIZE>
__global__ void __launch_bounds__(BLOCK)
    eliminate_in_registers(T* __restrict__ y, const T* __restrict__ matrices, const T* __restrict__ rights,
                           long long count, int columns) {
    const long long number = static_cast<long long>(blockIdx.x) * BLOCK + threadIdx.x;
    if (number >= count) return;
    const T* a = matrices + number * SIZE * SIZE;
    const T* b = PURPOSE == Purpose::SOLVE ? rights + number * SIZE * columns : nullptr;
    float upper[SIZE][SIZE], factors[SIZE][SIZE];
    int pivots[SIZE];
#pragma unroll
    for (int i = 0; i < SIZE; ++i) {
#pragma unroll
        for (int j = 0; j < SIZE; ++j) upper[i][j] = static_cast<float>(a[i * SIZE + j]);
    }
    float determinant = 1.0f;
#pragma unroll
    for (int k = 0; k < SIZE; ++k) {
        int pivot = k;
        float best = worth(upper[k][k]);
#pragma unroll
        for (int i = k + 1; i < SIZE; ++i) {
            if (worth(upper[i][k]) > best) best = worth(upper[i][k]), pivot = i;
        }
        pivots[k] = pivot;
        if (pivot != k) determinant = -determinant;
#pragma unroll
        for (int i = k + 1; i < SIZE; ++i) {
#pragma unroll
            for (int j = k; j < SIZE; ++j) {
                const float lower = upper[i][j];
                if (i == pivot) upper[i][j] = upper[k][j], upper[k][j] = lower;
            }
        }
#pragma unroll
        for (int i = k + 1; i < SIZE; ++i) {
            factors[i][k] = factor_of(upper[i][k], upper[k][k]);
#pragma unroll
            for (int j = k + 1; j < SIZE; ++j) upper[i][j] = minus_product(upper[i][j], factors[i][k], upper[k][j]);
        }
    }
    if (PURPOSE == Purpose::DETERMINANT) {
#pragma unroll
        for (int k = 0; k < SIZE; ++k) determinant = __fmul_rn(determinant, upper[k][k]);
        y[number] = static_cast<T>(determinant);
        return;
    }
    for (int column = 0; column < columns; ++column) {
        float x[SIZE];
#pragma unroll
        for (int i = 0; i < SIZE; ++i) x[i] = element<PURPOSE>(a, b, i, SIZE + column, SIZE, columns);
#pragma unroll
        for (int k = 0; k < SIZE; ++k) {
#pragma unroll
            for (int i = k + 1; i < SIZE; ++i) {
                const float lower = x[i];
                if (i == pivots[k]) x[i] = x[k], x[k] = lower;
            }
#pragma unroll
            for (int i = k + 1; i < SIZE; ++i) x[i] = minus_product(x[i], factors[i][k], x[k]);
        }
#pragma unroll
        for (int k = SIZE - 1; k >= 0; --k) {
            x[k] = __fdiv_rn(x[k], upper[k][k]);
#pragma unroll
            for (int i = 0; i < k; ++i) x[i] = minus_product(x[i], upper[i][k], x[k]);
        }
#pragma unroll
        for (int i = 0; i < SIZE; ++i) y[(number * SIZE + i) * columns + column] = static_cast<T>(x[i]);
    }
}

// Move numbers on by one, those from the second on less `factor` times what `others` has at their places, PART at a time.
template <int SIZE> constexpr int PART = SIZE < 16 ? 8 : 16;

template <int SIZE> __device__ __forceinline__ void move_on(float (&numbers)[SIZE], float factor, const float* others, int left) {
#pragma unroll
    for (int part = 0; part < SIZE; part += PART<SIZE>) {
        if (part >= left) break;
#pragma unroll
        for (int j = part; j < part + PART<SIZE>; ++j) {
            if (j > 0) numbers[j - 1] = minus_product(numbers[j], factor, others[j]);
        }
    }
}

// Find the solutions from the triangles of a block's matrix. A thread has a column, in registers, which move on by a row with
// each pivot. What reduces them is `staged` for TILE pivots at a time, in the order in which a column has its rows then.
template <typename T, Purpose PURPOSE, int SIZE, int TILE>
__device__ __forceinline__ void substitute_columns(T* y, const T* a, const T* b, const float* lower, const float* upper, float* x,
                                                   float* staged, const int* order, int position, int size, int columns) {
    const int own = threadIdx.x;
    for (int column = own; column - own < columns; column += SIZE) {
        const bool is_there = column < columns;
        float numbers[SIZE];
#pragma unroll
        for (int i = 0; i < SIZE; ++i) {
            numbers[i] = is_there && i < size ? element<PURPOSE>(a, b, order[i], size + column, size, columns) : 0.0f;
        }
        for (int first = 0; first < size; first += TILE) {
            const int end = min(first + TILE, size);
            __syncthreads();
#pragma unroll 8
            for (int k = first; k < end; ++k) staged[(k - first) * SIZE + (position - k & SIZE - 1)] = lower[k * SIZE + own];
            __syncthreads();
            for (int k = first; k < end && is_there; ++k) {
                x[k * SIZE + own] = numbers[0];
                move_on(numbers, numbers[0], staged + (k - first) * SIZE, size - k);
            }
        }
#pragma unroll
        for (int i = 0; i < SIZE; ++i) numbers[i] = is_there && i < size ? x[(size - 1 - i) * SIZE + own] : 0.0f;
        for (int last = size - 1; last >= 0; last -= TILE) {
            const int end = max(last - TILE, -1);
            __syncthreads();
#pragma unroll 8
            for (int k = last; k > end; --k) {
                staged[(last - k) * SIZE + (k - own & SIZE - 1)] = own <= k ? upper[own * SIZE + k - own] : 0.0f;
            }
            __syncthreads();
            for (int k = last; k > end && is_there; --k) {
                const float* factors = staged + (last - k) * SIZE;
                const float found = __fdiv_rn(numbers[0], factors[0]);
                y[1LL * k * columns + column] = static_cast<T>(found);
                move_on(numbers, found, factors, k + 1);
            }
        }
    }
}

// SIZE threads take a matrix of up to SIZE rows. First a thread has a row of A, in registers, which move on by a column
// with each pivot. Rows are not swapped: each thread knows the position of its row. Up to RIGHTS columns of B are in the
// registers, too, and threads take turns as solutions are found; of more a thread has a column afterwards. The triangles
// and the solutions are in shared memory for up to 32 rows, else in the workspace.
template <typename T, Purpose PURPOSE, int SIZE, int RIGHTS>
__global__ void __launch_bounds__(SIZE < WARP_BLOCK ? WARP_BLOCK : SIZE)
    eliminate_rows(T* __restrict__ y, const T* __restrict__ matrices, const T* __restrict__ rights,
                   float* __restrict__ workspace, long long count, int size, int columns) {
    constexpr int TEAMS = SIZE < WARP_BLOCK ? WARP_BLOCK / SIZE : 1, TILE = SIZE < 32 ? SIZE : 32;
    constexpr bool SHARED = SIZE <= 32;
    constexpr bool HAS_LOWER = PURPOSE != Purpose::DETERMINANT && RIGHTS == 0;
    constexpr int SQUARE = SIZE * SIZE, SQUARES = !SHARED ? 0 : HAS_LOWER ? 3 : 1;
    __shared__ __align__(16) float tops[TEAMS][2][SIZE + RIGHTS];
    constexpr int TILES = SIZE * (TILE + 1), CELLS = TILES > SQUARES * SQUARE ? TILES : SQUARES * SQUARE;
    __shared__ __align__(16) float cells[TEAMS][CELLS];
    __shared__ int orders[TEAMS][SIZE];
    __shared__ int2 keys[2][SIZE / 32 + 1];
    const int team = threadIdx.x / SIZE, own = threadIdx.x % SIZE;
    const long long number = static_cast<long long>(blockIdx.x) * TEAMS + team;
    const bool is_there = number < count;
    const T* a = matrices + number * size * size;
    const T* b = PURPOSE == Purpose::SOLVE ? rights + number * size * columns : nullptr;
    float row[SIZE];
#pragma unroll
    for (int tile = 0; tile < SIZE; tile += TILE) {
        wait_for_team<SIZE>();
        for (int cell = own; cell < SIZE * TILE; cell += SIZE) {
            const int i = cell / TILE, j = tile + cell % TILE;
            const bool is_element = is_there && i < size && j < size;
            cells[team][i * (TILE + 1) + cell % TILE] = is_element ? static_cast<float>(a[i * size + j]) : 0.0f;
        }
        wait_for_team<SIZE>();
#pragma unroll
        for (int j = 0; j < TILE; ++j) row[tile + j] = cells[team][own * (TILE + 1) + j];
    }
    float sides[RIGHTS + 1], diagonal = 1.0f;
#pragma unroll
    for (int c = 0; c < RIGHTS; ++c) {
        const bool is_element = is_there && own < size && c < columns;
        sides[c] = is_element ? static_cast<float>(b[own * columns + c]) : 0.0f;
    }
    wait_for_team<SIZE>();
    float* lower = SHARED ? cells[team] : workspace + number * 3 * SQUARE;
    float *upper = HAS_LOWER ? lower + SQUARE : lower, *x = upper + SQUARE;
    float determinant = 1.0f;
    int position = own;
    for (int k = 0; k < size; ++k) {
        const unsigned int rank = position < k || own >= size ? 0 : rank_of(row[0]);
        const int from = position_of_highest<SIZE>(rank, position, keys[k % 2]);
        float* top = tops[team][k % 2];
        if (position == from) {
#pragma unroll
            for (int j = 0; j < SIZE; ++j) top[j] = row[j];
#pragma unroll
            for (int c = 0; c < RIGHTS; ++c) top[SIZE + c] = sides[c];
            diagonal = row[0];
        }
        if (from != k) determinant = -determinant;
        position = position == from ? k : position == k ? from : position;
        wait_for_team<SIZE>();
        determinant = __fmul_rn(determinant, top[0]);
        const float factor = factor_of(row[0], top[0]);
        if (HAS_LOWER) lower[k * SIZE + own] = factor;
        if (PURPOSE != Purpose::DETERMINANT) upper[k * SIZE + own] = top[own];
#pragma unroll
        for (int c = 0; c < RIGHTS; ++c) {
            if (position > k) sides[c] = minus_product(sides[c], factor, top[SIZE + c]);
        }
        move_on(row, factor, top, size - k);
    }
    if (PURPOSE == Purpose::DETERMINANT) {
        if (is_there && own == 0) y[number] = static_cast<T>(determinant);
        return;
    }
    if constexpr (RIGHTS > 0) {
        wait_for_team<SIZE>();
        for (int last = size - 1; last >= 0; last -= PART<SIZE>) {
            float factors[PART<SIZE>];
#pragma unroll
            for (int i = 0; i < PART<SIZE>; ++i) {
                factors[i] = position < last - i ? upper[position * SIZE + last - i - position] : 0.0f;
            }
#pragma unroll
            for (int i = 0; i < PART<SIZE>; ++i) {
                const int k = last - i;
                if (k < 0) break;
                float* found = tops[team][i % 2];
                if (position == k) {
#pragma unroll
                    for (int c = 0; c < RIGHTS; ++c) found[c] = sides[c] = __fdiv_rn(sides[c], diagonal);
                }
                wait_for_team<SIZE>();
#pragma unroll
                for (int c = 0; c < RIGHTS; ++c) {
                    if (position < k) sides[c] = minus_product(sides[c], factors[i], found[c]);
                }
            }
        }
#pragma unroll
        for (int c = 0; c < RIGHTS; ++c) {
            const bool is_element = is_there && own < size && c < columns;
            if (is_element) y[(number * size + position) * columns + c] = static_cast<T>(sides[c]);
        }
        return;
    }
    orders[team][position] = own;
    wait_for_team<SIZE>();
    T* target = y + number * size * columns;
    if constexpr (!SHARED) {
        substitute_columns<T, PURPOSE, SIZE, TILE>(target, a, b, lower, upper, x, cells[0], orders[0], position, size, columns);
    } else {
        for (int column = own; is_there && column < columns; column += SIZE) {
            for (int i = 0; i < size; ++i) {
                const int there = orders[team][i];
                float sum = element<PURPOSE>(a, b, there, size + column, size, columns);
#pragma unroll 4
                for (int k = 0; k < i; ++k) sum = minus_product(sum, lower[k * SIZE + there], x[k * SIZE + own]);
                x[i * SIZE + own] = sum;
            }
            for (int i = size - 1; i >= 0; --i) {
                float sum = x[i * SIZE + own];
#pragma unroll 4
                for (int k = size - 1; k > i; --k) sum = minus_product(sum, upper[i * SIZE + k - i], x[k * SIZE + own]);
                x[i * SIZE + own] = sum = __fdiv_rn(sum, upper[i * SIZE]);
                target[i * columns + column] = static_cast<T>(sum);
            }
        }
    }
}

// A block takes a matrix, in its part of the workspace.
template <typename T, Purpose PURPOSE>
__global__ void __launch_bounds__(TEAM)
    eliminate_in_blocks(T* __restrict__ y, const T* __restrict__ matrices, const T* __restrict__ rights,
                        float* __restrict__ workspace, long long count, int size, int columns) {
    constexpr int WIDE = 32, HIGH = TEAM / WIDE;  // a block's threads along a row, and down a column
    __shared__ int shared_pivot;
    const int lane = threadIdx.x, across = lane % WIDE, down = lane / WIDE;
    const long long number = blockIdx.x;
    const int width = size + columns;  // of [A | B]
    const long long cells = 1LL * size * width;
    float* cell = workspace + number * cells;
    const T* a = matrices + number * size * size;
    const T* b = PURPOSE == Purpose::SOLVE ? rights + number * size * columns : nullptr;
    for (int i = down; i < size; i += HIGH) {
        for (int j = across; j < width; j += WIDE) cell[1LL * i * width + j] = element<PURPOSE>(a, b, i, j, size, columns);
    }
    float determinant = 1.0f;
    for (int k = 0; k < size; ++k) {
        float* row = cell + 1LL * k * width;
        __syncthreads();
        if (lane < 32) {
            int pivot = size;
            float best = -2.0f;
            for (int i = k + lane; i < size; i += 32) {
                const float candidate = worth(cell[1LL * i * width + k]);
                if (candidate > best) best = candidate, pivot = i;
            }
#pragma unroll
            for (int step = 16; step > 0; step /= 2) {
                const float other = __shfl_xor_sync(~0u, best, step);
                const int other_pivot = __shfl_xor_sync(~0u, pivot, step);
                if (other > best || (other == best && other_pivot < pivot)) best = other, pivot = other_pivot;
            }
            if (lane == 0) shared_pivot = pivot;
        }
        __syncthreads();
        const int pivot = shared_pivot;
        if (pivot != k) {
            determinant = -determinant;
            for (int j = k + lane; j < width; j += TEAM) {
                const float upper = row[j];
                row[j] = cell[1LL * pivot * width + j];
                cell[1LL * pivot * width + j] = upper;
            }
            __syncthreads();
        }
        for (int i = k + 1 + lane; i < size; i += TEAM) {
            cell[1LL * i * width + k] = factor_of(cell[1LL * i * width + k], row[k]);
        }
        __syncthreads();
        for (int i = k + 1 + down; i < size; i += HIGH) {
            float* below = cell + 1LL * i * width;
            const float factor = below[k];
            for (int j = k + 1 + across; j < width; j += WIDE) below[j] = minus_product(below[j], factor, row[j]);
        }
    }
    __syncthreads();
    if (PURPOSE == Purpose::DETERMINANT) {
        if (lane > 0) return;
        for (int k = 0; k < size; ++k) determinant = __fmul_rn(determinant, cell[1LL * k * width + k]);
        y[number] = static_cast<T>(determinant);
        return;
    }
    for (int k = size - 1; k >= 0; --k) {
        float* row = cell + 1LL * k * width;
        for (int j = size + lane; j < width; j += TEAM) row[j] = __fdiv_rn(row[j], row[k]);
        __syncthreads();
        for (int i = down; i < k; i += HIGH) {
            float* above = cell + 1LL * i * width;
            const float factor = above[k];
            for (int j = size + across; j < width; j += WIDE) above[j] = minus_product(above[j], factor, row[j]);
        }
        __syncthreads();
    }
    T* target = y + number * size * columns;
    for (int i = down; i < size; i += HIGH) {
        for (int j = across; j < columns; j += WIDE) {
            target[1LL * i * columns + j] = static_cast<T>(cell[1LL * i * width + size + j]);
        }
    }
}
