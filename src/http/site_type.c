/* SPDX-License-Identifier: MIT */

/*
 * Content types.
 *
 * The table has what browsers and package tools act upon, with the names of IANA's registry where
 * there is one. A wrong type would be worse than none: together with nosniff, which every file is
 * sent with, browsers take it as final.
 */
#include "http/site_type.h"

#include "base/util.h"

#define UTF_8   "; charset=utf-8"
#define END_MAX 16 /* bytes of the longest ending in the table, with room */

typedef struct end_type {
    const char *end;
    const char *type;
} end_type;

/* Sorted by the end. */
static const end_type types[] = {
    { "3gp", "video/3gpp" },
    { "7z", "application/x-7z-compressed" },
    { "aac", "audio/aac" },
    { "adoc", "text/plain" UTF_8 },
    { "apk", "application/vnd.android.package-archive" },
    { "apng", "image/apng" },
    { "asc", "application/pgp-signature" },
    { "atom", "application/atom+xml" },
    { "avi", "video/x-msvideo" },
    { "avif", "image/avif" },
    { "bmp", "image/bmp" },
    { "br", "application/x-brotli" },
    { "bz2", "application/x-bzip2" },
    { "c", "text/plain" UTF_8 },
    { "cc", "text/plain" UTF_8 },
    { "cjs", "text/javascript" UTF_8 },
    { "conf", "text/plain" UTF_8 },
    { "cpp", "text/plain" UTF_8 },
    { "crt", "application/x-x509-ca-cert" },
    { "css", "text/css" UTF_8 },
    { "csv", "text/csv" UTF_8 },
    { "cur", "image/x-icon" },
    { "deb", "application/vnd.debian.binary-package" },
    { "diff", "text/plain" UTF_8 },
    { "doc", "application/msword" },
    { "docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document" },
    { "eot", "application/vnd.ms-fontobject" },
    { "eps", "application/postscript" },
    { "epub", "application/epub+zip" },
    { "flac", "audio/flac" },
    { "geojson", "application/geo+json" },
    { "gif", "image/gif" },
    { "glb", "model/gltf-binary" },
    { "gltf", "model/gltf+json" },
    { "go", "text/plain" UTF_8 },
    { "gz", "application/gzip" },
    { "h", "text/plain" UTF_8 },
    { "heic", "image/heic" },
    { "heif", "image/heif" },
    { "hpp", "text/plain" UTF_8 },
    { "htm", "text/html" UTF_8 },
    { "html", "text/html" UTF_8 },
    { "ico", "image/x-icon" },
    { "ics", "text/calendar" UTF_8 },
    { "ini", "text/plain" UTF_8 },
    { "jar", "application/java-archive" },
    { "jfif", "image/jpeg" },
    { "jpeg", "image/jpeg" },
    { "jpg", "image/jpeg" },
    { "js", "text/javascript" UTF_8 },
    { "json", "application/json" },
    { "jsonld", "application/ld+json" },
    { "jxl", "image/jxl" },
    { "log", "text/plain" UTF_8 },
    { "lua", "text/plain" UTF_8 },
    { "m2ts", "video/mp2t" },
    { "m3u", "audio/mpegurl" },
    { "m3u8", "application/vnd.apple.mpegurl" },
    { "m4a", "audio/mp4" },
    { "m4v", "video/mp4" },
    { "map", "application/json" },
    { "markdown", "text/markdown" UTF_8 },
    { "md", "text/markdown" UTF_8 },
    { "mid", "audio/midi" },
    { "midi", "audio/midi" },
    { "mjs", "text/javascript" UTF_8 },
    { "mkv", "video/x-matroska" },
    { "mov", "video/quicktime" },
    { "mp3", "audio/mpeg" },
    { "mp4", "video/mp4" },
    { "mpd", "application/dash+xml" },
    { "mpeg", "video/mpeg" },
    { "mpg", "video/mpeg" },
    { "odp", "application/vnd.oasis.opendocument.presentation" },
    { "ods", "application/vnd.oasis.opendocument.spreadsheet" },
    { "odt", "application/vnd.oasis.opendocument.text" },
    { "oga", "audio/ogg" },
    { "ogg", "audio/ogg" },
    { "ogv", "video/ogg" },
    { "opus", "audio/ogg" },
    { "otf", "font/otf" },
    { "parquet", "application/vnd.apache.parquet" },
    { "patch", "text/plain" UTF_8 },
    { "pdf", "application/pdf" },
    { "pem", "application/x-pem-file" },
    { "png", "image/png" },
    { "ppt", "application/vnd.ms-powerpoint" },
    { "pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation" },
    { "ps", "application/postscript" },
    { "py", "text/plain" UTF_8 },
    { "rar", "application/vnd.rar" },
    { "rpm", "application/x-rpm" },
    { "rs", "text/plain" UTF_8 },
    { "rss", "application/rss+xml" },
    { "rst", "text/plain" UTF_8 },
    { "rtf", "application/rtf" },
    { "sh", "text/plain" UTF_8 },
    { "shtml", "text/html" UTF_8 },
    { "sig", "application/pgp-signature" },
    { "sql", "text/plain" UTF_8 },
    { "sqlite", "application/vnd.sqlite3" },
    { "stl", "model/stl" },
    { "svg", "image/svg+xml" },
    { "tar", "application/x-tar" },
    { "tex", "text/plain" UTF_8 },
    { "text", "text/plain" UTF_8 },
    { "tgz", "application/gzip" },
    { "tif", "image/tiff" },
    { "tiff", "image/tiff" },
    { "toml", "application/toml" },
    { "ts", "video/mp2t" },
    { "tsv", "text/tab-separated-values" UTF_8 },
    { "ttc", "font/collection" },
    { "ttf", "font/ttf" },
    { "txt", "text/plain" UTF_8 },
    { "vcf", "text/vcard" UTF_8 },
    { "vtt", "text/vtt" UTF_8 },
    { "wasm", "application/wasm" },
    { "wav", "audio/wav" },
    { "weba", "audio/webm" },
    { "webm", "video/webm" },
    { "webmanifest", "application/manifest+json" },
    { "webp", "image/webp" },
    { "woff", "font/woff" },
    { "woff2", "font/woff2" },
    { "xhtml", "application/xhtml+xml" },
    { "xls", "application/vnd.ms-excel" },
    { "xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" },
    { "xml", "application/xml" },
    { "xsd", "application/xml" },
    { "xsl", "application/xml" },
    { "xz", "application/x-xz" },
    { "yaml", "application/yaml" },
    { "yml", "application/yaml" },
    { "zip", "application/zip" },
    { "zst", "application/zstd" },
};

/* What stands behind the last dot of the last segment, in lower case; false if there is none. */
static bool ending_of(th_str name, char *out, th_str *end)
{
    size_t at = name.len;
    while (at > 0 && name.ptr[at - 1] != '.') {
        if (name.ptr[at - 1] == '/')
            return false;
        at--;
    }
    size_t len = name.len - at;
    if (at == 0 || len > END_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = name.ptr[at + i];
        out[i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
    }
    *end = th_str_make(out, len);
    return true;
}

th_str thi_site_type(th_str name)
{
    char text[END_MAX];
    th_str end;
    size_t low = 0, high = ending_of(name, text, &end) ? thi_array_len(types) : 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = th_str_cmp(th_str_of(types[middle].end), end);
        if (order == 0)
            return th_str_of(types[middle].type);
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return TH_STR("application/octet-stream");
}
