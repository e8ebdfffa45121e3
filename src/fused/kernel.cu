// Convolution of chosen tiles as a product of matrices on tensor cores (TF32): rows are places of output tiles, columns
// output channels, depth taps times input channels. All extents are macros, so that divisions become multiplications.
//
// A block makes 64 places x 64 channels with four warps of 32 x 32; the next slice of the depth is fetched while this one
// is multiplied. Sources are read where they lie, with zeros outside.
#define BM 64
#define BN 64
#define BK 16
#define PAD 8

__device__ __forceinline__ unsigned tf32(float v) {
    unsigned r;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(r) : "f"(v));
    return r;
}

__device__ __forceinline__ void mma(float *c, const unsigned *a, const unsigned *b) {
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

extern "C" __global__ void __launch_bounds__(128) tile_conv(
    const float *__restrict__ x, const float *__restrict__ weights, const float *__restrict__ bias,
    const long long *__restrict__ chosen, const float *__restrict__ other, float *__restrict__ y, int tiles, int keep) {
    __shared__ unsigned as[2][BK][BM + PAD];
    __shared__ unsigned bs[2][BK][BN + PAD];
    const int thread = threadIdx.x, warp = thread / 32, lane = thread % 32;
    const int rows = tiles * PLACES;
    const int m0 = blockIdx.x * BM, n0 = blockIdx.y * BN;
    // The place whose inputs this thread fetches.
    const int place = m0 + thread % BM, first = thread / BM;
    int r0 = 0, c0 = 0;
    const float *source = x;
    const bool there = place < rows;
    if (there) {
        const int t = place / PLACES, p = place % PLACES;
        const int id = (int)chosen[t];
        r0 = p / TILE_W * STRIDE_H - BEFORE_H;
        c0 = p % TILE_W * STRIDE_W - BEFORE_W;
        int sample = t;
        if (!FROM_TILES) {
            r0 += id / ACROSS * STEP_H;
            c0 += id % ACROSS * STEP_W;
            sample = t / keep;
        }
        source += (long long)sample * INPUTS * SOURCE_H * SOURCE_W;
    }
    float acc[2][4][4] = {};
    float fetched_a[BK / 2], fetched_b[BK / 2];
    const int per_tap = (INPUTS + BK - 1) / BK, slices = per_tap * KERNEL_H * KERNEL_W;
    auto fetch = [&](int slice) {
        const int tap = slice / per_tap, i0 = slice % per_tap * BK;
        const int r = r0 + tap / KERNEL_W * DILATION_H, c = c0 + tap % KERNEL_W * DILATION_W;
        const bool in = there && r >= 0 && c >= 0 && r < SOURCE_H && c < SOURCE_W;
        const float *from = source + r * SOURCE_W + c;
#pragma unroll
        for (int k = 0; k < BK / 2; ++k) {
            const int i = i0 + first + 2 * k;
            fetched_a[k] = in && i < INPUTS ? from[i * (SOURCE_H * SOURCE_W)] : 0.0f;
            const int n = n0 + thread % BN;
            fetched_b[k] = i < INPUTS && n < OUTPUTS ? weights[(tap * INPUTS + i) * OUTPUTS + n] : 0.0f;
        }
    };
    auto put = [&](int buffer) {
#pragma unroll
        for (int k = 0; k < BK / 2; ++k) {
            as[buffer][first + 2 * k][thread % BM] = tf32(fetched_a[k]);
            bs[buffer][first + 2 * k][thread % BN] = tf32(fetched_b[k]);
        }
    };
    const int wm = warp / 2 * 32, wn = warp % 2 * 32, group = lane / 4, within = lane % 4;
    fetch(0);
    put(0);
    __syncthreads();
    for (int slice = 0; slice < slices; ++slice) {
        const int now = slice & 1;
        if (slice + 1 < slices) fetch(slice + 1);
#pragma unroll
        for (int k = 0; k < BK; k += 8) {
            unsigned a[2][4], b[4][2];
#pragma unroll
            for (int i = 0; i < 2; ++i) {
                const int m = wm + 16 * i + group;
                a[i][0] = as[now][k + within][m];
                a[i][1] = as[now][k + within][m + 8];
                a[i][2] = as[now][k + within + 4][m];
                a[i][3] = as[now][k + within + 4][m + 8];
            }
#pragma unroll
            for (int j = 0; j < 4; ++j) {
                const int n = wn + 8 * j + group;
                b[j][0] = bs[now][k + within][n];
                b[j][1] = bs[now][k + within + 4][n];
            }
#pragma unroll
            for (int i = 0; i < 2; ++i)
#pragma unroll
                for (int j = 0; j < 4; ++j) mma(acc[i][j], a[i], b[j]);
        }
        if (slice + 1 < slices) put(1 - now);
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < 2; ++i)
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            const int m = m0 + wm + 16 * i + group + 8 * half;
            if (m >= rows) continue;
            const int t = m / PLACES, p = m % PLACES, id = (int)chosen[t];
            const int mr = id / ACROSS * MAP_STEP_H - MAP_BEFORE_H + p / TILE_W;
            const int mc = id % ACROSS * MAP_STEP_W - MAP_BEFORE_W + p % TILE_W;
            const bool inside = mr >= 0 && mc >= 0 && mr < MAP_H && mc < MAP_W;
#pragma unroll
            for (int j = 0; j < 4; ++j)
#pragma unroll
                for (int e = 0; e < 2; ++e) {
                    const int n = n0 + wn + 8 * j + 2 * within + e;
                    if (n >= OUTPUTS) continue;
                    float v = acc[i][j][2 * half + e] + bias[n];
                    if (ADDS) {
                        if (!inside) continue;
                        const long long to = ((long long)(t / keep) * OUTPUTS + n) * (MAP_H * MAP_W) + mr * MAP_W + mc;
                        v += other[to];
                        y[to] = RELU ? fmaxf(v, 0.0f) : v;
                    } else {
                        v = RELU ? fmaxf(v, 0.0f) : v;
                        y[((long long)t * OUTPUTS + n) * PLACES + p] = MASKED && !inside ? 0.0f : v;
                    }
                }
        }
}

// The other addend plus the fill, everywhere.
extern "C" __global__ void fill_map(
    const float *__restrict__ other, const float *__restrict__ fill, float *__restrict__ y, long long count) {
    for (long long at = blockIdx.x * (long long)blockDim.x + threadIdx.x; at < count; at += (long long)gridDim.x * blockDim.x) {
        const float v = other[at] + fill[at / (MAP_H * MAP_W) % OUTPUTS];
        y[at] = RELU ? fmaxf(v, 0.0f) : v;
    }
}
