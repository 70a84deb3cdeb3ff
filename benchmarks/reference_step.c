/* The step of transport/eulerian/step.py as plain loops: the clock that our operator is measured against.

       q <- X½ Y½ Z½ q;   (m' + Δt L) q' = m q + s;   q <- Z½ Y½ X½ q

   PPM weights along x and y, third order on uneven layers along z, implicit exchange, air carried, Courant numbers in
   the air of the middle of the interval. One uniform value beyond all sides, closed ground and top, source at the ground.
   Two forms of the same numbers:

     march_faces  flux form: face values from Courant numbers that are computed once per interval
     march_bands  the banded form of transport/eulerian/banded.py, with the bands and the air that Python computed

   Loops over layers (x, y) and rows (z) are shared among threads; a layer or a row slab stays in the cache of its core.
   Fields are (nz, ny, nx), C order. Faces: fx (nz, ny, nx+1), fy (nz, ny+1, nx), fz (nz+1, ny, nx), air in mol.
   Compile with -DREAL=float or double, -O3 -march=native -ffast-math -fopenmp -shared -fPIC. */

#include <stdlib.h>
#include <string.h>

typedef REAL real;

static real absolute(real x) { return x < 0 ? -x : x; }

/* --- flux form ---------------------------------------------------------------------------------------------------- */

/* Value of a face beside the edge of the domain: third order if it fits, else the donor. stride between cells. */
static real narrow(const real *q, int f, int n, long stride, real moved, real c) {
    int ahead = moved > 0, d = ahead ? f - 1 : f, way = ahead ? 1 : -1;
    if (d < 1 || d > n - 2) return q[d * stride];
    real front = (1 - c) * (2 - c) / 6, back = -(1 - c) * (1 + c) / 6;
    return back * q[(d - way) * stride] + (1 - front - back) * q[d * stride] + front * q[(d + way) * stride];
}

/* Parabola of the donor between the edges `behind` and `front`, averaged over its swept part c. */
static real parabola(real behind, real donor, real front, real c) {
    real bend = 1 - c * (real)(2.0 / 3.0);
    return front - c / 2 * (front - behind - bend * (6 * donor - 3 * (front + behind)));
}

static void sweep_x(int n, real *q, real *m, const real *moved, const real *c, real outer) {
    real edge[n + 1], flux[n + 1];
    for (int f = 2; f <= n - 2; f++)
        edge[f] = (real)(7.0 / 12.0) * (q[f - 1] + q[f]) - (real)(1.0 / 12.0) * (q[f - 2] + q[f + 1]);
    for (int f = 3; f <= n - 3; f++) {
        real behind = moved[f] > 0 ? edge[f - 1] : edge[f + 1], donor = moved[f] > 0 ? q[f - 1] : q[f];
        flux[f] = moved[f] * parabola(behind, donor, edge[f], c[f]);
    }
    flux[0] = moved[0] * (moved[0] > 0 ? outer : q[0]);
    flux[n] = moved[n] * (moved[n] > 0 ? q[n - 1] : outer);
    int side[4] = {1, 2, n - 2, n - 1};
    for (int s = 0; s < 4; s++) {
        int f = side[s];
        flux[f] = moved[f] * narrow(q, f, n, 1, moved[f], c[f]);
    }
    /* The wider stencil fits one face further for air that comes from the inside. */
    if (moved[n - 2] > 0) flux[n - 2] = moved[n - 2] * parabola(edge[n - 3], q[n - 3], edge[n - 2], c[n - 2]);
    if (!(moved[2] > 0)) flux[2] = moved[2] * parabola(edge[3], q[2], edge[2], c[2]);
    for (int i = 0; i < n; i++) {
        real gone = moved[i + 1] - moved[i];
        m[i] -= gone;
        q[i] -= (flux[i + 1] - flux[i] - q[i] * gone) / m[i];
    }
}

static void sweep_y(int n, int nx, real *q, real *m, const real *moved, const real *c, real outer, real *edge, real *flux) {
    for (int f = 2; f <= n - 2; f++)
        for (int i = 0; i < nx; i++) {
            const real *p = q + f * nx + i;
            edge[f * nx + i] = (real)(7.0 / 12.0) * (p[-nx] + p[0]) - (real)(1.0 / 12.0) * (p[-2 * nx] + p[nx]);
        }
    for (int f = 3; f <= n - 3; f++)
        for (int i = 0; i < nx; i++) {
            int a = f * nx + i;
            real behind = moved[a] > 0 ? edge[a - nx] : edge[a + nx], donor = moved[a] > 0 ? q[a - nx] : q[a];
            flux[a] = moved[a] * parabola(behind, donor, edge[a], c[a]);
        }
    int side[4] = {1, 2, n - 2, n - 1};
    for (int i = 0; i < nx; i++) {
        int last = n * nx + i, b = (n - 2) * nx + i, d = 2 * nx + i;
        flux[i] = moved[i] * (moved[i] > 0 ? outer : q[i]);
        flux[last] = moved[last] * (moved[last] > 0 ? q[last - nx] : outer);
        for (int s = 0; s < 4; s++) {
            int a = side[s] * nx + i;
            flux[a] = moved[a] * narrow(q + i, side[s], n, nx, moved[a], c[a]);
        }
        if (moved[b] > 0) flux[b] = moved[b] * parabola(edge[b - nx], q[b - nx], edge[b], c[b]);
        if (!(moved[d] > 0)) flux[d] = moved[d] * parabola(edge[d + nx], q[d], edge[d], c[d]);
    }
    for (int a = 0; a < n * nx; a++) {
        real gone = moved[a + nx] - moved[a];
        m[a] -= gone;
        q[a] -= (flux[a + nx] - flux[a] - q[a] * gone) / m[a];
    }
}

/* One row of columns; `s` is the distance between layers, faces 0 and n carry nothing. */
static void sweep_z(int n, int nx, long s, real *q, real *m, const real *moved, const real *back, const real *front, real *flux) {
    for (int f = 1; f < n; f++) {
        const real *w = moved + f * s, *low = q + (f - 2) * s, *high = q + (f + 1) * s;
        if (f == 1) low = q;          /* weight zero there */
        if (f == n - 1) high = q + f * s;
        for (int i = 0; i < nx; i++) {
            real below = q[(f - 1) * s + i], above = q[f * s + i];
            real b = w[i] > 0 ? low[i] : high[i], d = w[i] > 0 ? below : above, a = w[i] > 0 ? above : below;
            flux[f * nx + i] = w[i] * (d + back[f * s + i] * (b - d) + front[f * s + i] * (a - d));
        }
    }
    for (int i = 0; i < nx; i++) flux[i] = flux[n * nx + i] = 0;
    for (int k = 0; k < n; k++)
        for (int i = 0; i < nx; i++) {
            long a = k * s + i;
            real gone = moved[a + s] - moved[a];
            m[a] -= gone;
            q[a] -= (flux[(k + 1) * nx + i] - flux[k * nx + i] - q[a] * gone) / m[a];
        }
}

/* The implicit exchange of one row of columns (transport/mixing/solve.py without updraft, deposition, excess). */
static void solve(int n, int nx, long s, real *q, const real *m, const real *exchange, const real *source, real *inverse) {
    real held[nx];
    for (int i = 0; i < nx; i++) held[i] = m[(n - 1) * s + i];
    for (int k = 0; k < n; k++)
        for (int i = 0; i < nx; i++) q[k * s + i] = m[k * s + i] * q[k * s + i] + (k == 0 ? source[i] : 0);
    for (int k = n - 2; k >= 0; k--)
        for (int i = 0; i < nx; i++) {
            long a = k * s + i;
            real share = 1 / (held[i] + exchange[a]);
            inverse[(k + 1) * nx + i] = share;
            share *= exchange[a];
            held[i] = m[a] + share * held[i];
            q[a] += share * q[a + s];
        }
    for (int i = 0; i < nx; i++) q[i] /= held[i];
    for (int k = 1; k < n; k++)
        for (int i = 0; i < nx; i++) {
            long a = k * s + i;
            q[a] = (q[a] + exchange[a - s] * q[a - s]) * inverse[k * nx + i];
        }
}

static void courant(int nz, int ny, int nx, const real *air, const real *moved, real *c, int along_x) {
    int fy = along_x ? ny : ny + 1, fx = along_x ? nx + 1 : nx;
#pragma omp parallel for
    for (int k = 0; k < nz; k++)
        for (int j = 0; j < fy; j++)
            for (int i = 0; i < fx; i++) {
                long f = ((long)k * fy + j) * fx + i;
                int dj = j, di = i;
                if (along_x) di = moved[f] > 0 ? (i > 0 ? i - 1 : 0) : (i < nx ? i : nx - 1);
                else dj = moved[f] > 0 ? (j > 0 ? j - 1 : 0) : (j < ny ? j : ny - 1);
                c[f] = absolute(moved[f]) / air[((long)k * ny + dj) * nx + di];
            }
}

static void vertical_weights(int n, long s, const real *air, const real *moved, real *back, real *front) {
#pragma omp parallel for
    for (int f = 1; f < n; f++)
        for (long i = 0; i < s; i++) {
            int ahead = moved[f * s + i] > 0, way = ahead ? 1 : -1, d = ahead ? f - 1 : f;
            long a = f * s + i;
            back[a] = front[a] = 0;
            if (d < 1 || d > n - 2) continue;
            real behind = air[(d - way) * s + i], donor = air[d * s + i], next = air[(d + way) * s + i];
            real c = absolute(moved[a]) / donor, rest = (1 - c) * donor, total = behind + donor + next;
            front[a] = rest * (behind + rest) / ((next + donor) * total);
            back[a] = -rest * (next + c * donor) / ((donor + behind) * total);
        }
}

/* q and m after `steps` steps of an interval, and the trapezoidal mean of q. `middle` is the air for Courant numbers,
   fx, fy, fz the air moved in a half step, exchange (nz-1, ny, nx) and source (ny, nx) those of a step. */
void march_faces(int steps, int nz, int ny, int nx, real *q, real *m, real *mean, const real *middle, const real *fx,
                 const real *fy, const real *fz, const real *exchange, const real *source, real outer) {
    long layer = (long)ny * nx, size = nz * layer;
    real *cx = malloc(sizeof(real) * nz * ny * (nx + 1)), *cy = malloc(sizeof(real) * nz * (ny + 1) * nx);
    real *back = malloc(sizeof(real) * size), *front = malloc(sizeof(real) * size);
    courant(nz, ny, nx, middle, fx, cx, 1);
    courant(nz, ny, nx, middle, fy, cy, 0);
    vertical_weights(nz, layer, middle, fz, back, front);
    for (long i = 0; i < size; i++) mean[i] = q[i] / 2;
#pragma omp parallel
    {
        real *edge = malloc(sizeof(real) * (layer + nx)), *flux = malloc(sizeof(real) * (layer + nx) + sizeof(real) * (nz + 1) * nx);
        for (int n = 0; n <= steps; n++) {
#pragma omp for schedule(static)
            for (int k = 0; k < nz; k++) {
                real *p = q + k * layer, *a = m + k * layer;
                const real *u = fx + (long)k * ny * (nx + 1), *v = fy + (long)k * (ny + 1) * nx;
                const real *cu = cx + (long)k * ny * (nx + 1), *cv = cy + (long)k * (ny + 1) * nx;
                if (n > 0) { /* the end of the step before */
                    sweep_y(ny, nx, p, a, v, cv, outer, edge, flux);
                    for (int j = 0; j < ny; j++) sweep_x(nx, p + j * nx, a + j * nx, u + j * (nx + 1), cu + j * (nx + 1), outer);
                    real weight = n < steps ? 1 : (real)0.5;
                    for (long i = 0; i < layer; i++) mean[k * layer + i] += weight * p[i];
                }
                if (n < steps) {
                    for (int j = 0; j < ny; j++) sweep_x(nx, p + j * nx, a + j * nx, u + j * (nx + 1), cu + j * (nx + 1), outer);
                    sweep_y(ny, nx, p, a, v, cv, outer, edge, flux);
                }
            }
            if (n == steps) break;
#pragma omp for schedule(static)
            for (int j = 0; j < ny; j++) {
                long o = (long)j * nx;
                sweep_z(nz, nx, layer, q + o, m + o, fz + o, back + o, front + o, flux);
                solve(nz, nx, layer, q + o, m + o, exchange + o, source + o, flux);
                sweep_z(nz, nx, layer, q + o, m + o, fz + o, back + o, front + o, flux);
            }
        }
        free(edge);
        free(flux);
    }
    for (long i = 0; i < size; i++) mean[i] /= steps;
    free(cx), free(cy), free(back), free(front);
}

/* --- banded form -------------------------------------------------------------------------------------------------- */

/* `rows` planes of width `run`, coupled to those up to `reach` away; bands[k] couples to row + k. */
static void sweep_bands(int rows, long run, long s, int reach, real *q, const real *const *bands, const real *air,
                        const real *gain, real n, real outer, real *copy) {
    for (int r = 0; r < rows; r++) memcpy(copy + r * run, q + r * s, sizeof(real) * run);
    for (int r = 0; r < rows; r++) {
        real total[run];
        for (long i = 0; i < run; i++) total[i] = 0;
        for (int b = 0; b < 2 * reach; b++) {
            int k = b < reach ? b - reach : b - reach + 1, near = r + k;
            const real *w = bands[b] + r * s, *own = copy + r * run;
            if (near >= 0 && near < rows) {
                const real *other = copy + near * run;
                for (long i = 0; i < run; i++) total[i] += w[i] * (other[i] - own[i]);
            } else if (k == 1 || k == -1)
                for (long i = 0; i < run; i++) total[i] += w[i] * (outer - own[i]);
        }
        for (long i = 0; i < run; i++) q[r * s + i] -= total[i] / (air[r * s + i] + n * gain[r * s + i]);
    }
}

static void sweep_bands_x(int nx, real *q, const real *const *bands, const real *air, const real *gain, real n, real outer) {
    real padded[nx + 6];
    for (int i = 0; i < 3; i++) padded[i] = padded[nx + 3 + i] = 0;
    padded[2] = padded[nx + 3] = outer;
    memcpy(padded + 3, q, sizeof(real) * nx);
    const real *b0 = bands[0], *b1 = bands[1], *b2 = bands[2], *b3 = bands[3], *b4 = bands[4], *b5 = bands[5];
    for (int i = 0; i < nx; i++) {
        const real *p = padded + i;
        real own = p[3], total = b0[i] * (p[0] - own) + b1[i] * (p[1] - own) + b2[i] * (p[2] - own) +
                                 b3[i] * (p[4] - own) + b4[i] * (p[5] - own) + b5[i] * (p[6] - own);
        q[i] = own - total / (air[i] + n * gain[i]);
    }
}

/* As march_faces; x, y (6 bands), z (4 bands), air: 7 stages of the first step, gain per step. */
void march_bands(int steps, int nz, int ny, int nx, real *q, real *mean, const real *const *x, const real *const *y,
                 const real *const *z, const real *const *air, const real *gain, const real *exchange, const real *source,
                 real outer) {
    long layer = (long)ny * nx, size = nz * layer;
    for (long i = 0; i < size; i++) mean[i] = q[i] / 2;
#pragma omp parallel
    {
        real *copy = malloc(sizeof(real) * (layer + (nz + 1) * nx)), *after = malloc(sizeof(real) * size);
        for (int n = 0; n <= steps; n++) {
#pragma omp for schedule(static)
            for (int k = 0; k < nz; k++) {
                long o = k * layer;
                const real *by[6], *bx[6];
                for (int b = 0; b < 6; b++) by[b] = y[b] + o;
                for (int late = 1; late >= 0; late--) {
                    real at = n - late;
                    if (late ? n == 0 : n == steps) continue;
                    if (late) sweep_bands(ny, nx, nx, 3, q + o, by, air[6] + o, gain + o, at, outer, copy);
                    for (int j = 0; j < ny; j++) {
                        long p = o + j * nx;
                        for (int b = 0; b < 6; b++) bx[b] = x[b] + p;
                        sweep_bands_x(nx, q + p, bx, air[late ? 0 : 1] + p, gain + p, at + late, outer);
                    }
                    if (!late) sweep_bands(ny, nx, nx, 3, q + o, by, air[2] + o, gain + o, at, outer, copy);
                    if (late) {
                        real weight = n < steps ? 1 : (real)0.5;
                        for (long i = o; i < o + layer; i++) mean[i] += weight * q[i];
                    }
                }
            }
            if (n == steps) break;
#pragma omp for schedule(static)
            for (int j = 0; j < ny; j++) {
                long o = (long)j * nx;
                const real *bz[4];
                for (int b = 0; b < 4; b++) bz[b] = z[b] + o;
                sweep_bands(nz, nx, layer, 2, q + o, bz, air[3] + o, gain + o, n, 0, copy);
                for (int k = 0; k < nz; k++)
                    for (int i = 0; i < nx; i++) after[k * layer + o + i] = air[4][k * layer + o + i] + n * gain[k * layer + o + i];
                solve(nz, nx, layer, q + o, after + o, exchange + o, source + o, copy);
                sweep_bands(nz, nx, layer, 2, q + o, bz, air[5] + o, gain + o, n, 0, copy);
            }
        }
        free(copy);
        free(after);
    }
    for (long i = 0; i < size; i++) mean[i] /= steps;
}

/* --- bandwidth ---------------------------------------------------------------------------------------------------- */

/* McCalpin's triad, a = b + s c. */
void triad(long n, real *a, const real *b, const real *c, real s) {
#pragma omp parallel for schedule(static)
    for (long i = 0; i < n; i++) a[i] = b[i] + s * c[i];
}
