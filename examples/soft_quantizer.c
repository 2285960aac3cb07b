/* The soft quantizer of JPEG-DL as a program that jpegdl's oracles can judge.
 *
 *     cc -std=c99 -O2 -o soft_quantizer examples/soft_quantizer.c -lm
 *     ./soft_quantizer input.npz output.npz
 *
 * Reads z, q, alpha (float32 or float64, one dimension, equal lengths), max_level and window
 * (int64, 0 for all levels); writes value, dz, dq and dalpha. An .npz file is a zip archive of
 * .npy files; here they are stored, not compressed, so that nothing but the C library is needed.
 * Little-endian machines only. Built with -DFAULT, the third moment is forgotten.
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fail(const char *message, const char *detail)
{
    fprintf(stderr, "soft_quantizer: %s%s\n", message, detail);
    exit(1);
}

static void *allocate(size_t bytes)
{
    void *memory = malloc(bytes ? bytes : 1);
    if (!memory)
        fail("out of memory", "");
    return memory;
}

/* ---- the quantizer: JPEG-DL, eq. (5)-(7), and its partial derivatives ---- */

typedef struct {
    double value, dz, dq, dalpha;
} Result;

/* Sums over the levels of the support, relative to the nearest level r: with h = alpha q^2 and
 * f = z/q - r, the weight of level r + k is exp(h k (2f - k)), never more than 1. */
static Result soft_quantize(double z, double q, double alpha, double max_level, int window)
{
    double r = floor(z / q + 0.5); /* ties half-up */
    r = fmin(fmax(r, -max_level), max_level);
    double f = (z - r * q) / q;
    double h = alpha * q * q;
    double first = -max_level, last = max_level;
    if (window > 0) { /* a window that would leave the index set is pushed back into it */
        first = fmin(fmax(r - window / 2, -max_level), max_level - window + 1);
        last = first + window - 1;
    }
    double s0 = 0.0, s1 = 0.0, s2 = 0.0, s3 = 0.0;
    for (double level = first; level <= last; level += 1.0) {
        double k = level - r;
        double weight = exp(h * k * (2.0 * f - k));
        s0 += weight;
        s1 += weight * k;
        s2 += weight * k * k;
        s3 += weight * k * k * k;
    }
    double mean = s1 / s0; /* of the level, from r */
    double var = s2 / s0 - mean * mean;
    double mu3 = s3 / s0 - 3.0 * mean * (s2 / s0) + 2.0 * mean * mean * mean;
#ifdef FAULT
    mu3 = 0.0;
#endif
    Result out;
    out.value = q * (r + mean);
    out.dz = 2.0 * h * var;
    out.dq = r + mean - 2.0 * h * (mu3 + (r + 2.0 * mean - f) * var);
    out.dalpha = -(mu3 + 2.0 * (mean - f) * var) * q * q * q;
    return out;
}

/* ---- reading .npz ---- */

typedef struct {
    unsigned char *bytes;
    size_t size;
} File;

static File read_file(const char *path)
{
    FILE *stream = fopen(path, "rb");
    if (!stream)
        fail("cannot open ", path);
    File file = {NULL, 0};
    size_t room = 1 << 16, got;
    file.bytes = allocate(room);
    while ((got = fread(file.bytes + file.size, 1, room - file.size, stream)) > 0) {
        file.size += got;
        if (file.size == room) {
            room *= 2;
            file.bytes = realloc(file.bytes, room);
            if (!file.bytes)
                fail("out of memory reading ", path);
        }
    }
    fclose(stream);
    return file;
}

static uint32_t little(const unsigned char *at, int bytes)
{
    uint32_t value = 0;
    for (int i = bytes - 1; i >= 0; i--)
        value = value << 8 | at[i];
    return value;
}

/* A member of the archive: walk from one local file header to the next. */
static File member(File archive, const char *name)
{
    size_t at = 0;
    while (at + 30 <= archive.size && little(archive.bytes + at, 4) == 0x04034b50) {
        const unsigned char *header = archive.bytes + at;
        uint32_t method = little(header + 8, 2), size = little(header + 18, 4);
        size_t name_length = little(header + 26, 2), extra = little(header + 28, 2);
        size_t data = at + 30 + name_length + extra;
        if (data + size > archive.size)
            fail("the archive is cut off at ", name);
        if (name_length == strlen(name) && memcmp(header + 30, name, name_length) == 0) {
            if (method != 0)
                fail("compressed: ", name);
            File found = {archive.bytes + data, size};
            return found;
        }
        at = data + size;
    }
    fail("the archive lacks ", name);
    return archive; /* not reached */
}

/* An array, converted to double; its number of elements in *count, its type in kind. */
static double *read_array(File archive, const char *name, size_t *count, char kind[4])
{
    File file = member(archive, name);
    if (file.size < 10 || memcmp(file.bytes, "\x93NUMPY\x01", 7) != 0)
        fail("not a .npy file of version 1: ", name);
    size_t length = little(file.bytes + 8, 2);
    if (10 + length > file.size)
        fail("cut off: ", name);
    /* {'descr': '<f4', 'fortran_order': False, 'shape': (5,), } */
    char *header = allocate(length + 1);
    memcpy(header, file.bytes + 10, length);
    header[length] = '\0';
    const char *descr = strstr(header, "'descr': '");
    if (!descr)
        fail("no 'descr' in ", name);
    memcpy(kind, descr + 10, 3);
    kind[3] = '\0';
    size_t item = kind[2] == '4' ? 4 : 8;
    *count = (file.size - 10 - length) / item;
    const unsigned char *data = file.bytes + 10 + length;
    double *out = allocate(*count * sizeof *out);
    for (size_t i = 0; i < *count; i++) {
        if (strcmp(kind, "<f4") == 0) {
            float x;
            memcpy(&x, data + 4 * i, 4);
            out[i] = x;
        } else if (strcmp(kind, "<f8") == 0) {
            memcpy(out + i, data + 8 * i, 8);
        } else if (strcmp(kind, "<i8") == 0) {
            int64_t x;
            memcpy(&x, data + 8 * i, 8);
            out[i] = (double)x;
        } else {
            fail("unknown type of ", name);
        }
    }
    free(header);
    return out;
}

static double read_scalar(File archive, const char *name)
{
    size_t count;
    char kind[4];
    double *values = read_array(archive, name, &count, kind);
    if (count != 1)
        fail("not one number: ", name);
    double value = values[0];
    free(values);
    return value;
}

/* ---- writing .npz ---- */

typedef struct {
    unsigned char *bytes;
    size_t size, room;
} Buffer;

static void append(Buffer *buffer, const void *data, size_t size)
{
    if (buffer->size + size > buffer->room) {
        buffer->room = 2 * (buffer->size + size);
        buffer->bytes = realloc(buffer->bytes, buffer->room);
        if (!buffer->bytes)
            fail("out of memory", "");
    }
    if (size)
        memcpy(buffer->bytes + buffer->size, data, size);
    buffer->size += size;
}

static void append_little(Buffer *buffer, uint32_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) {
        unsigned char byte = (unsigned char)(value >> (8 * i));
        append(buffer, &byte, 1);
    }
}

static uint32_t crc32(const unsigned char *data, size_t size)
{
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

/* What the local header and the central directory have in common. */
static void append_header(Buffer *out, const char *name, uint32_t crc, uint32_t size)
{
    append_little(out, 20, 2);     /* version needed */
    append_little(out, 0, 2);      /* flags */
    append_little(out, 0, 2);      /* stored */
    append_little(out, 0x21 << 16, 4); /* 1 January 1980, midnight */
    append_little(out, crc, 4);
    append_little(out, size, 4);
    append_little(out, size, 4);
    append_little(out, (uint32_t)strlen(name), 2);
    append_little(out, 0, 2); /* no extra field */
}

static void add_array(Buffer *zip, Buffer *directory, const char *name, const double *values,
                      size_t count)
{
    char header[128];
    int length = snprintf(header, sizeof header,
                          "{'descr': '<f8', 'fortran_order': False, 'shape': (%zu,), }", count);
    Buffer npy = {NULL, 0, 0};
    append(&npy, "\x93NUMPY\x01\x00", 8);
    append_little(&npy, 118, 2); /* the data starts at byte 128 */
    memset(header + length, ' ', (size_t)(117 - length));
    header[117] = '\n';
    append(&npy, header, 118);
    append(&npy, values, count * sizeof *values);

    uint32_t crc = crc32(npy.bytes, npy.size), place = (uint32_t)zip->size;
    append_little(zip, 0x04034b50, 4);
    append_header(zip, name, crc, (uint32_t)npy.size);
    append(zip, name, strlen(name));
    append(zip, npy.bytes, npy.size);
    append_little(directory, 0x02014b50, 4);
    append_little(directory, 20, 2); /* version made by */
    append_header(directory, name, crc, (uint32_t)npy.size);
    append_little(directory, 0, 2);     /* no comment */
    append_little(directory, 0, 2);     /* disk */
    append_little(directory, 0, 2);     /* internal attributes */
    append_little(directory, 0, 4);     /* external attributes */
    append_little(directory, place, 4); /* of the local header */
    append(directory, name, strlen(name));
    free(npy.bytes);
}

static void write_archive(const char *path, Buffer *zip, const Buffer *directory, uint32_t members)
{
    uint32_t place = (uint32_t)zip->size;
    append(zip, directory->bytes, directory->size);
    append_little(zip, 0x06054b50, 4);
    append_little(zip, 0, 4); /* disks */
    append_little(zip, members, 2);
    append_little(zip, members, 2);
    append_little(zip, (uint32_t)directory->size, 4);
    append_little(zip, place, 4);
    append_little(zip, 0, 2); /* no comment */
    FILE *stream = fopen(path, "wb");
    if (!stream || fwrite(zip->bytes, 1, zip->size, stream) != zip->size || fclose(stream) != 0)
        fail("cannot write ", path);
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"value.npy", "dz.npy", "dq.npy", "dalpha.npy"};
    if (argc != 3)
        fail("usage: soft_quantizer input.npz output.npz", "");
    File input = read_file(argv[1]);
    char kind[4];
    size_t count, of_q, of_alpha;
    double *z = read_array(input, "z.npy", &count, kind);
    double *q = read_array(input, "q.npy", &of_q, kind);
    double *alpha = read_array(input, "alpha.npy", &of_alpha, kind);
    if (of_q != count || of_alpha != count)
        fail("z, q and alpha differ in length", "");
    double max_level = read_scalar(input, "max_level.npy");
    int window = (int)read_scalar(input, "window.npy");

    double *out[4];
    for (int j = 0; j < 4; j++)
        out[j] = allocate(count * sizeof **out);
    for (size_t i = 0; i < count; i++) {
        Result one = soft_quantize(z[i], q[i], alpha[i], max_level, window);
        out[0][i] = one.value;
        out[1][i] = one.dz;
        out[2][i] = one.dq;
        out[3][i] = one.dalpha;
    }
    Buffer zip = {NULL, 0, 0}, directory = {NULL, 0, 0};
    for (int j = 0; j < 4; j++) {
        add_array(&zip, &directory, names[j], out[j], count);
        free(out[j]);
    }
    write_archive(argv[2], &zip, &directory, 4);
    free(zip.bytes);
    free(directory.bytes);
    free(z);
    free(q);
    free(alpha);
    free(input.bytes);
    return 0;
}
