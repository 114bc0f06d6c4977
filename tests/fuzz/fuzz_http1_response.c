/* SPDX-License-Identifier: MIT */

/* A stream of responses, as answers to several methods; however it is cut, the record is the same.
 */
#include "../unit/proto/feed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const thi_http_method methods[] = { THI_HTTP_GET, THI_HTTP_HEAD, THI_HTTP_CONNECT };
    feed f = { .data = (const char *)data, .len = size, .seed = size };
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        char *other;
        f.method = methods[i];
        free(feed_all(&f, feed_response, &other));
        if (other)
            abort();
    }
    return 0;
}
