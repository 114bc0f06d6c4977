/* SPDX-License-Identifier: MIT */

/* Tests of content types: every ending that is known, and names that have none. */
#include "http/site_type.h"

#include "check_main.h"

#include <ctype.h>
#include <stdio.h>

#define UNKNOWN "application/octet-stream"

static const char *const all[][2] = {
    { "html", "text/html; charset=utf-8" },
    { "htm", "text/html; charset=utf-8" },
    { "shtml", "text/html; charset=utf-8" },
    { "xhtml", "application/xhtml+xml" },
    { "css", "text/css; charset=utf-8" },
    { "js", "text/javascript; charset=utf-8" },
    { "mjs", "text/javascript; charset=utf-8" },
    { "cjs", "text/javascript; charset=utf-8" },
    { "json", "application/json" },
    { "map", "application/json" },
    { "jsonld", "application/ld+json" },
    { "geojson", "application/geo+json" },
    { "webmanifest", "application/manifest+json" },
    { "wasm", "application/wasm" },
    { "xml", "application/xml" },
    { "xsd", "application/xml" },
    { "xsl", "application/xml" },
    { "rss", "application/rss+xml" },
    { "atom", "application/atom+xml" },
    { "txt", "text/plain; charset=utf-8" },
    { "text", "text/plain; charset=utf-8" },
    { "log", "text/plain; charset=utf-8" },
    { "conf", "text/plain; charset=utf-8" },
    { "ini", "text/plain; charset=utf-8" },
    { "diff", "text/plain; charset=utf-8" },
    { "patch", "text/plain; charset=utf-8" },
    { "c", "text/plain; charset=utf-8" },
    { "h", "text/plain; charset=utf-8" },
    { "cc", "text/plain; charset=utf-8" },
    { "cpp", "text/plain; charset=utf-8" },
    { "hpp", "text/plain; charset=utf-8" },
    { "py", "text/plain; charset=utf-8" },
    { "rs", "text/plain; charset=utf-8" },
    { "go", "text/plain; charset=utf-8" },
    { "sh", "text/plain; charset=utf-8" },
    { "sql", "text/plain; charset=utf-8" },
    { "rst", "text/plain; charset=utf-8" },
    { "adoc", "text/plain; charset=utf-8" },
    { "tex", "text/plain; charset=utf-8" },
    { "lua", "text/plain; charset=utf-8" },
    { "md", "text/markdown; charset=utf-8" },
    { "markdown", "text/markdown; charset=utf-8" },
    { "csv", "text/csv; charset=utf-8" },
    { "tsv", "text/tab-separated-values; charset=utf-8" },
    { "ics", "text/calendar; charset=utf-8" },
    { "vcf", "text/vcard; charset=utf-8" },
    { "vtt", "text/vtt; charset=utf-8" },
    { "yaml", "application/yaml" },
    { "yml", "application/yaml" },
    { "toml", "application/toml" },
    { "png", "image/png" },
    { "apng", "image/apng" },
    { "jpg", "image/jpeg" },
    { "jpeg", "image/jpeg" },
    { "jfif", "image/jpeg" },
    { "gif", "image/gif" },
    { "webp", "image/webp" },
    { "avif", "image/avif" },
    { "heic", "image/heic" },
    { "heif", "image/heif" },
    { "jxl", "image/jxl" },
    { "svg", "image/svg+xml" },
    { "ico", "image/x-icon" },
    { "cur", "image/x-icon" },
    { "bmp", "image/bmp" },
    { "tif", "image/tiff" },
    { "tiff", "image/tiff" },
    { "mp4", "video/mp4" },
    { "m4v", "video/mp4" },
    { "webm", "video/webm" },
    { "ogv", "video/ogg" },
    { "mov", "video/quicktime" },
    { "mkv", "video/x-matroska" },
    { "avi", "video/x-msvideo" },
    { "mpg", "video/mpeg" },
    { "mpeg", "video/mpeg" },
    { "ts", "video/mp2t" },
    { "m2ts", "video/mp2t" },
    { "3gp", "video/3gpp" },
    { "m3u8", "application/vnd.apple.mpegurl" },
    { "m3u", "audio/mpegurl" },
    { "mpd", "application/dash+xml" },
    { "mp3", "audio/mpeg" },
    { "m4a", "audio/mp4" },
    { "aac", "audio/aac" },
    { "ogg", "audio/ogg" },
    { "oga", "audio/ogg" },
    { "opus", "audio/ogg" },
    { "flac", "audio/flac" },
    { "wav", "audio/wav" },
    { "weba", "audio/webm" },
    { "mid", "audio/midi" },
    { "midi", "audio/midi" },
    { "woff2", "font/woff2" },
    { "woff", "font/woff" },
    { "ttf", "font/ttf" },
    { "otf", "font/otf" },
    { "ttc", "font/collection" },
    { "eot", "application/vnd.ms-fontobject" },
    { "pdf", "application/pdf" },
    { "ps", "application/postscript" },
    { "eps", "application/postscript" },
    { "rtf", "application/rtf" },
    { "epub", "application/epub+zip" },
    { "zip", "application/zip" },
    { "gz", "application/gzip" },
    { "tgz", "application/gzip" },
    { "bz2", "application/x-bzip2" },
    { "xz", "application/x-xz" },
    { "zst", "application/zstd" },
    { "br", "application/x-brotli" },
    { "7z", "application/x-7z-compressed" },
    { "rar", "application/vnd.rar" },
    { "tar", "application/x-tar" },
    { "jar", "application/java-archive" },
    { "deb", "application/vnd.debian.binary-package" },
    { "rpm", "application/x-rpm" },
    { "apk", "application/vnd.android.package-archive" },
    { "doc", "application/msword" },
    { "xls", "application/vnd.ms-excel" },
    { "ppt", "application/vnd.ms-powerpoint" },
    { "docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document" },
    { "xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" },
    { "pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation" },
    { "odt", "application/vnd.oasis.opendocument.text" },
    { "ods", "application/vnd.oasis.opendocument.spreadsheet" },
    { "odp", "application/vnd.oasis.opendocument.presentation" },
    { "sqlite", "application/vnd.sqlite3" },
    { "gltf", "model/gltf+json" },
    { "glb", "model/gltf-binary" },
    { "stl", "model/stl" },
    { "asc", "application/pgp-signature" },
    { "sig", "application/pgp-signature" },
    { "crt", "application/x-x509-ca-cert" },
    { "pem", "application/x-pem-file" },
    { "parquet", "application/vnd.apache.parquet" },
};

static void check_type(const char *name, const char *want)
{
    th_str got = thi_site_type(th_str_of(name));
    ck_assert_msg(th_str_eq(got, th_str_of(want)), "%s: %.*s", name, TH_STR_ARG(got));
}

START_TEST(every_known_ending_has_its_type)
{
    char name[32];
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        snprintf(name, sizeof name, "x.%s", all[i][0]);
        check_type(name, all[i][1]);
        ck_assert_uint_le(strlen(all[i][1]), THI_SITE_TYPE_MAX);
    }
}
END_TEST

START_TEST(case_does_not_matter)
{
    char name[32];
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        snprintf(name, sizeof name, "X.%s", all[i][0]);
        for (char *c = name; *c; c++)
            *c = (char)toupper((unsigned char)*c);
        check_type(name, all[i][1]);
    }
    check_type("a.HtMl", "text/html; charset=utf-8");
}
END_TEST

START_TEST(the_last_dot_of_the_last_segment_counts)
{
    check_type("a/b.c/x.y.tar.gz", "application/gzip");
    check_type("a.html/b.css", "text/css; charset=utf-8");
    check_type("a.html/b", UNKNOWN);
    check_type(".html", "text/html; charset=utf-8");
    check_type("a..png", "image/png");
    check_type("a b\xc3\xa4.txt", "text/plain; charset=utf-8");
}
END_TEST

START_TEST(other_names_are_bytes)
{
    static const char *const names[] = { "",
                                         "x",
                                         "x.",
                                         "x.unknown",
                                         "html",
                                         "x.htmlx",
                                         "x.htm.",
                                         "x.html~",
                                         "x.h tml",
                                         "x.\xc3\xa4",
                                         "x.abcdefghijklmnop",
                                         "x.abcdefghijklmnopq",
                                         "x.html/" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        check_type(names[i], UNKNOWN);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *types = thi_check_case(suite, "types");
    tcase_add_test(types, every_known_ending_has_its_type);
    tcase_add_test(types, case_does_not_matter);
    tcase_add_test(types, the_last_dot_of_the_last_segment_counts);
    tcase_add_test(types, other_names_are_bytes);
}

int main(void)
{
    return thi_check_run("http/site_type", fill);
}
