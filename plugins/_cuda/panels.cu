// The elimination of large matrices by panels of WIDTH columns, one launch for each. Its first block updates a panel after
// the panel before and factors it; meanwhile others update the columns after it in tiles, so that only the first is waited
// for. Rows are not swapped: `order` says which has a position. The factors of rows replace what they eliminate. What is
// above the diagonal goes to `upper`, column by column in the order of positions, as does the forward-eliminated B.

#include "elimination.cuh"
#include "overlap.cuh"

using pluginkit::BLOCK, pluginkit::LANES, pluginkit::SOLVERS, pluginkit::WIDTH;  // from panels.py
using pluginkit::UPDATED_COLUMNS, pluginkit::UPDATED_ROWS;

constexpr int WARPS = BLOCK / LANES;

static_assert(WARPS <= LANES && UPDATED_ROWS * UPDATED_COLUMNS == BLOCK * 16, "a thread updates 4 x 4 elements");

// What the workspace has for a matrix of `size` rows, which are `pitch` numbers apart: [A | B], the determinant so far, the
// rows in their order before and after a panel, and the columns of the result, which are `height` numbers apart.
struct Work {
    float *cells, *determinant, *upper;
    int* orders;
    int pitch, height;

    __device__ __forceinline__ Work(float* workspace, int size, int columns, bool is_determinant)
        : pitch((size + columns + 3) / 4 * 4), height((size + 3) / 4 * 4) {
        const long long square = 1LL * size * pitch, triangle = is_determinant ? 0 : 1LL * (size + columns) * height;
        cells = workspace + blockIdx.x * (square + 2 * height + 4 + triangle);
        determinant = cells + square;
        orders = reinterpret_cast<int*>(determinant + 4);
        upper = determinant + 4 + 2 * height;
    }
    // The rows in their order before the panel that begins at `first`.
    __device__ __forceinline__ int* order(int first) const { return orders + first / WIDTH % 2 * height; }
    // A column of the result, in the order of positions.
    __device__ __forceinline__ float* column(int number) const { return upper + 1LL * number * height; }
    __device__ __forceinline__ float4* four(int row, int column) const {
        return reinterpret_cast<float4*>(cells + 1LL * row * pitch + column);
    }
    __device__ __forceinline__ float4 read_four(int row, int column) const {
        return column < pitch ? *four(row, column) : float4{};
    }
};

__device__ __forceinline__ float4 minus_product(float4 value, float a, float4 b) {
    return {minus_product(value.x, a, b.x), minus_product(value.y, a, b.y), minus_product(value.z, a, b.z),
            minus_product(value.w, a, b.w)};
}

template <int N> __device__ __forceinline__ void load(float (&numbers)[N], const float* source) {
#pragma unroll
    for (int i = 0; i < N; i += 4) {
        const float4 four = *reinterpret_cast<const float4*>(source + i);
        numbers[i] = four.x, numbers[i + 1] = four.y, numbers[i + 2] = four.z, numbers[i + 3] = four.w;
    }
}

template <int N> __device__ __forceinline__ void store(float* target, const float (&numbers)[N]) {
#pragma unroll
    for (int i = 0; i < N; i += 4) {
        *reinterpret_cast<float4*>(target + i) = {numbers[i], numbers[i + 1], numbers[i + 2], numbers[i + 3]};
    }
}

// Read N cells of a row that lie beside each other; there are none beyond the last column.
template <int N> __device__ __forceinline__ void load_cells(float (&numbers)[N], const Work& work, int row, int column) {
#pragma unroll
    for (int i = 0; i < N; i += 4) {
        const float4 four = work.read_four(row, column + i);
        numbers[i] = four.x, numbers[i + 1] = four.y, numbers[i + 2] = four.z, numbers[i + 3] = four.w;
    }
}

// Copy [A | B] to the workspace.
template <typename T, Purpose PURPOSE>
__global__ void __launch_bounds__(SOLVERS) gather_cells(const T* __restrict__ matrices, const T* __restrict__ rights,
                                                        float* __restrict__ workspace, int size, int columns) {
    const Work work(workspace, size, columns, PURPOSE == Purpose::DETERMINANT);
    const T* a = matrices + 1LL * blockIdx.x * size * size;
    const T* b = PURPOSE == Purpose::SOLVE ? rights + 1LL * blockIdx.x * size * columns : nullptr;
    for (int i = blockIdx.y; i < size; i += gridDim.y) {
        for (int j = threadIdx.x; j < work.pitch; j += SOLVERS) {
            const bool is_element = j < size + columns;
            work.cells[1LL * i * work.pitch + j] = is_element ? element<PURPOSE>(a, b, i, j, size, columns) : 0.0f;
        }
        if (threadIdx.x == 0) work.order(0)[i] = i;
    }
}

// The rows of the pivots of the panel before: their factors, column by column, and the columns that are updated.
template <int COLUMNS> struct Pivots {
    float triangle[WIDTH][WIDTH], tops[WIDTH][COLUMNS];
};

// Read the rows of `count` pivots from position `begin` on, and their columns from `column` on.
template <int COLUMNS>
__device__ __forceinline__ void read_pivots(Pivots<COLUMNS>& pivots, const Work& work, const int* order, int begin,
                                            int count, int column) {
    constexpr int FOURS = (WIDTH + COLUMNS) / 4;
    for (int i = threadIdx.x; i < WIDTH * FOURS; i += BLOCK) {
        const int pivot = i / FOURS, j = i % FOURS * 4;
        const int from = j < WIDTH ? begin + j : column + j - WIDTH;
        const float4 four = pivot < count ? work.read_four(order[begin + pivot], from) : float4{};
        if (j >= WIDTH) {
            *reinterpret_cast<float4*>(&pivots.tops[pivot][j - WIDTH]) = four;
        } else {
            pivots.triangle[j][pivot] = four.x, pivots.triangle[j + 1][pivot] = four.y;
            pivots.triangle[j + 2][pivot] = four.z, pivots.triangle[j + 3][pivot] = four.w;
        }
    }
    __syncthreads();
}

// Eliminate in the rows of the pivots themselves, of which a thread has a column, which also goes to `target`.
template <int COLUMNS>
__device__ __forceinline__ void solve_pivots(Pivots<COLUMNS>& pivots, float* target, int count) {
    if (threadIdx.x < COLUMNS) {
        float x[WIDTH];
#pragma unroll
        for (int k = 0; k < WIDTH; ++k) x[k] = pivots.tops[k][threadIdx.x];
#pragma unroll
        for (int k = 0; k < WIDTH; ++k) {
#pragma unroll
            for (int i = k + 1; i < WIDTH; ++i) x[i] = minus_product(x[i], pivots.triangle[k][i], x[k]);
        }
#pragma unroll
        for (int k = 0; k < WIDTH; ++k) pivots.tops[k][threadIdx.x] = x[k];
#pragma unroll
        for (int k = 0; k < WIDTH; k += 4) {
            if (target && k < count) *reinterpret_cast<float4*>(target + k) = {x[k], x[k + 1], x[k + 2], x[k + 3]};
        }
    }
    __syncthreads();
}

// Return which lane of a warp has the highest rank, and of equal ones the least position.
__device__ __forceinline__ int lane_of_highest(unsigned int rank, int position) {
    const bool is_highest = rank == highest_of<LANES>(rank);
    unsigned int highest = __ballot_sync(~0u, is_highest);
    if (highest & (highest - 1)) {
        const unsigned int least = least_of<LANES>(is_highest ? position : ~0u);
        highest = __ballot_sync(~0u, is_highest && position == least);
    }
    return __ffs(highest) - 1;
}

// Eliminate in the panel from `first` on, STRIP columns at a time, after those before them in the panel; if IS_FUSED, then
// after the panel before, too. A thread has these columns of EACH adjacent rows, in registers. For each pivot a warp proposes
// one of its rows.
template <typename T, Purpose PURPOSE, int EACH, int STRIP>
__device__ __forceinline__ void factor_panel(T* y, const Work& work, int size, int columns, int first, bool is_fused) {
    __shared__ __align__(16) Pivots<STRIP> pivots;
    __shared__ __align__(16) float proposed[2][WARPS][STRIP];
    __shared__ int2 keys[2][WARPS];
    const int own = threadIdx.x, lane = own % LANES, warp = own / LANES, rows = size - first;
    const int warps = (rows + LANES * EACH - 1) / (LANES * EACH), place_of_first = first + own * EACH;
    const int* order = work.order(first);
    int* const next_order = work.order(first + WIDTH);
    int position[EACH];
#pragma unroll
    for (int r = 0; r < EACH; ++r) position[r] = place_of_first + r < size ? place_of_first + r : -1;
    float determinant = first > 0 ? *work.determinant : 1.0f;
#pragma unroll 1
    for (int strip = first; strip < first + WIDTH; strip += STRIP) {
        const bool is_column = own < STRIP && strip + own < size + columns;
        float cells[EACH][STRIP];
#pragma unroll
        for (int r = 0; r < EACH; ++r) {
            const int row = position[r] >= 0 ? order[place_of_first + r] : -1;
#pragma unroll
            for (int j = 0; j < STRIP; j += 4) {
                const float4 four = row >= 0 ? work.read_four(row, strip + j) : float4{};
                cells[r][j] = four.x, cells[r][j + 1] = four.y, cells[r][j + 2] = four.z, cells[r][j + 3] = four.w;
            }
        }
        const int begin = strip > first ? first : first - WIDTH;
        const int count = strip > first ? min(strip - first, rows) : is_fused && first > 0 ? WIDTH : 0;
        if (count > 0) {
            read_pivots(pivots, work, strip > first ? next_order : order, begin, count, strip);
            solve_pivots(pivots, PURPOSE != Purpose::DETERMINANT && is_column ? work.column(strip + own) + begin : nullptr, count);
#pragma unroll
            for (int k = 0; k < WIDTH; k += 4) {
                if (warp >= warps || k >= count) break;
                float4 factors[EACH];
#pragma unroll
                for (int r = 0; r < EACH; ++r) {
                    const int row = position[r] >= 0 ? order[place_of_first + r] : -1;
                    factors[r] = row >= 0 ? work.read_four(row, begin + k) : float4{};
                }
#pragma unroll
                for (int i = 0; i < 4; ++i) {
                    float top[STRIP];
                    load(top, pivots.tops[k + i]);
#pragma unroll
                    for (int r = 0; r < EACH; ++r) {
                        const float four[] = {factors[r].x, factors[r].y, factors[r].z, factors[r].w}, factor = four[i];
#pragma unroll
                        for (int j = 0; j < STRIP; ++j) cells[r][j] = minus_product(cells[r][j], factor, top[j]);
                    }
                }
            }
        }
#pragma unroll
        for (int k = 0; k < STRIP; ++k) {
            const int pivot = strip + k;
            if (pivot >= size) break;
            if (warp < warps) {
                unsigned int rank = 0;
                int place = size;
#pragma unroll
                for (int r = 0; r < EACH; ++r) {
                    const unsigned int other = position[r] >= pivot ? rank_of(cells[r][k]) : 0;
                    if (other > rank || (other == rank && position[r] < place)) rank = other, place = position[r];
                }
                if (lane == lane_of_highest(rank, place)) {
                    keys[k % 2][warp] = {static_cast<int>(rank), place};
#pragma unroll
                    for (int r = 0; r < EACH; ++r) {
                        if (position[r] != place) continue;
#pragma unroll
                        for (int j = k / 4 * 4; j < STRIP; j += 4) {
                            const float four[] = {cells[r][j], cells[r][j + 1], cells[r][j + 2], cells[r][j + 3]};
                            store(&proposed[k % 2][warp][j], four);
                        }
                    }
                }
            }
            __syncthreads();
            if (warp >= warps) continue;
            const int2 key = lane < warps ? keys[k % 2][lane] : int2{};
            const int best = lane_of_highest(key.x, key.y), from = __shfl_sync(~0u, key.y, best);
            float top[STRIP];
            load(top, proposed[k % 2][best]);
            if (PURPOSE == Purpose::DETERMINANT) {
                if (from != pivot) determinant = -determinant;
                determinant = __fmul_rn(determinant, top[k]);
            } else if (own >= k && is_column) {
                work.column(strip + own)[pivot] = proposed[k % 2][best][own];
            }
#pragma unroll
            for (int r = 0; r < EACH; ++r) {
                position[r] = position[r] == from ? pivot : position[r] == pivot ? from : position[r];
                cells[r][k] = factor_of(cells[r][k], top[k]);
#pragma unroll
                for (int j = k + 1; j < STRIP; ++j) cells[r][j] = minus_product(cells[r][j], cells[r][k], top[j]);
            }
        }
#pragma unroll
        for (int r = 0; r < EACH; ++r) {
            if (position[r] < 0) continue;
            const int row = order[place_of_first + r];
            if (strip + STRIP == first + WIDTH || position[r] < strip + STRIP) next_order[position[r]] = row;
#pragma unroll
            for (int j = 0; j < STRIP; j += 4) {
                if (strip + j >= work.pitch) continue;
                *work.four(row, strip + j) = {cells[r][j], cells[r][j + 1], cells[r][j + 2], cells[r][j + 3]};
            }
        }
        if (STRIP < WIDTH) __syncthreads();
    }
    if (PURPOSE != Purpose::DETERMINANT || own > 0) return;
    *work.determinant = determinant;
    if (rows <= WIDTH) y[blockIdx.x] = static_cast<T>(determinant);
}

// Eliminate with the pivots before position `first` in UPDATED_ROWS of the rows from there on, and UPDATED_COLUMNS of the
// columns from `left` on.
__device__ __forceinline__ void update_tile(const Work& work, int size, int columns, int first, int left, int number,
                                            bool is_determinant) {
    __shared__ __align__(16) Pivots<UPDATED_COLUMNS> pivots;
    __shared__ __align__(16) float lower[WIDTH][UPDATED_ROWS + 4];
    const int begin = first - WIDTH, count = min(WIDTH, size - begin), own = threadIdx.x;
    const int high = max((size - first + UPDATED_ROWS - 1) / UPDATED_ROWS, 1);
    const int above = first + number % high * UPDATED_ROWS;
    left += number / high * UPDATED_COLUMNS;
    const int down = own / (UPDATED_COLUMNS / 4) * 4, across = own % (UPDATED_COLUMNS / 4) * 4;
    const int* order = work.order(first);
    int row[4];
    float4 cells[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) row[i] = above + down + i < size ? order[above + down + i] : -1;
#pragma unroll
    for (int i = 0; i < 4; ++i) cells[i] = row[i] >= 0 ? work.read_four(row[i], left + across) : float4{};
#pragma unroll
    for (int i = own; i < UPDATED_ROWS * WIDTH / 4; i += BLOCK) {
        const int there = i / (WIDTH / 4), k = i % (WIDTH / 4) * 4;
        const float4 four = above + there < size ? work.read_four(order[above + there], begin + k) : float4{};
        lower[k][there] = four.x, lower[k + 1][there] = four.y, lower[k + 2][there] = four.z, lower[k + 3][there] = four.w;
    }
    read_pivots(pivots, work, order, begin, count, left);
    const bool is_result = !is_determinant && above == first && left + own < size + columns;
    solve_pivots(pivots, is_result ? work.column(left + own) + begin : nullptr, count);
#pragma unroll 4
    for (int k = 0; k < WIDTH; ++k) {
        float factors[4];
        load(factors, &lower[k][down]);
        const float4 top = *reinterpret_cast<const float4*>(&pivots.tops[k][across]);
#pragma unroll
        for (int i = 0; i < 4; ++i) cells[i] = minus_product(cells[i], factors[i], top);
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        if (row[i] >= 0 && left + across < work.pitch) *work.four(row[i], left + across) = cells[i];
    }
}

// Factor the panel from `first` on if HAS_PANEL, and update the columns from `left` on with the panel before.
template <typename T, Purpose PURPOSE, int EACH, int STRIP>
__global__ void __launch_bounds__(BLOCK) eliminate_panel(T* __restrict__ y, float* __restrict__ workspace, int size,
                                                         int columns, int first, int left, int tiles, int panels) {
    wait_for_earlier_launches();
    let_next_launch_begin();
    const Work work(workspace, size, columns, PURPOSE == Purpose::DETERMINANT);
    if (blockIdx.y < panels) {
        factor_panel<T, PURPOSE, EACH, STRIP>(y, work, size, columns, first, left == first + WIDTH);
        return;
    }
    for (int tile = blockIdx.y - panels; tile < tiles; tile += gridDim.y - panels) {
        update_tile(work, size, columns, first, left, tile, PURPOSE == Purpose::DETERMINANT);
        __syncthreads();
    }
}

// Find the solutions from the triangle, GROUP columns of B at a time, each of them by a warp within LANES rows. They are in
// shared memory if they fit, else in place of [A | B].
template <typename T, int GROUP, bool IN_SHARED>
__global__ void __launch_bounds__(SOLVERS) substitute(T* __restrict__ y, float* workspace, int size, int columns) {
    extern __shared__ float4 shared[];
    wait_for_earlier_launches();
    const Work work(workspace, size, columns, false);
    const int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES;
    const auto upper = [&](int row, int column) { return work.column(column)[row]; };
    for (int group = blockIdx.y * GROUP; group < columns; group += gridDim.y * GROUP) {
        float* const kept = IN_SHARED ? reinterpret_cast<float*>(shared) : work.cells + 1LL * group * size;
        float(*x)[GROUP] = reinterpret_cast<float(*)[GROUP]>(kept);
        for (int row = threadIdx.x; row < size; row += SOLVERS) {
            float numbers[GROUP];
#pragma unroll
            for (int c = 0; c < GROUP; ++c) numbers[c] = group + c < columns ? upper(row, size + group + c) : 0.0f;
            store(x[row], numbers);
        }
        for (int first = (size - 1) / LANES * LANES; first >= 0; first -= LANES) {
            __syncthreads();
            const int steps = min(LANES, size - first), row = first + min(lane, steps - 1);
            const float diagonal = upper(row, row);
            if (warp < GROUP) {
                float found = x[row][warp], factors[LANES];
#pragma unroll
                for (int k = 0; k < LANES; ++k) factors[k] = lane < k && k < steps ? upper(row, first + k) : 0.0f;
#pragma unroll
                for (int k = LANES - 1; k >= 0; --k) {
                    if (k >= steps) continue;
                    const float solved = __fdiv_rn(found, diagonal);
                    if (lane == k) found = solved;
                    const float below = __shfl_sync(~0u, found, k);
                    if (lane < k) found = minus_product(found, factors[k], below);
                }
                __syncwarp();
                if (lane < steps) x[row][warp] = found;
            }
            __syncthreads();
            for (int above = threadIdx.x; above < first; above += SOLVERS) {
                float numbers[GROUP], factors[LANES];
#pragma unroll
                for (int k = 0; k < LANES; ++k) factors[k] = k < steps ? upper(above, first + k) : 0.0f;
                load(numbers, x[above]);
#pragma unroll
                for (int k = LANES - 1; k >= 0; --k) {
                    if (k >= steps) continue;
#pragma unroll
                    for (int c = 0; c < GROUP; ++c) numbers[c] = minus_product(numbers[c], factors[k], x[first + k][c]);
                }
                store(x[above], numbers);
            }
        }
        __syncthreads();
        for (int i = threadIdx.x; i < size * GROUP; i += SOLVERS) {
            const int row = i / GROUP, column = group + i % GROUP;
            if (column < columns) y[(1LL * blockIdx.x * size + row) * columns + column] = static_cast<T>(x[row][i % GROUP]);
        }
        __syncthreads();
    }
}
