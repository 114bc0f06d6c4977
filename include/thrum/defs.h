/* SPDX-License-Identifier: MIT */

/* Attributes, visibility and version: the macros that every other public header uses. */
#ifndef THRUM_DEFS_H
#define THRUM_DEFS_H

#define TH_VERSION_MAJOR 0
#define TH_VERSION_MINOR 1
#define TH_VERSION_PATCH 0
#define TH_VERSION       "0.1.0"

#ifdef __cplusplus
#define TH_BEGIN_DECLS extern "C" {
#define TH_END_DECLS   }
#else
#define TH_BEGIN_DECLS
#define TH_END_DECLS
#endif

#if defined(__GNUC__)
#define TH_API          __attribute__((visibility("default")))
#define TH_MUST         __attribute__((warn_unused_result))
#define TH_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define TH_NORETURN     __attribute__((noreturn))
#define TH_LIKELY(x)    __builtin_expect(!!(x), 1)
#define TH_UNLIKELY(x)  __builtin_expect(!!(x), 0)
/* Calls fn(&variable) when the variable goes out of scope, on every path out of the block. */
#define TH_CLEANUP(fn) __attribute__((cleanup(fn)))
#else
#define TH_API
#define TH_MUST
#define TH_PRINTF(f, a)
#define TH_NORETURN
#define TH_LIKELY(x)   (x)
#define TH_UNLIKELY(x) (x)
#endif

#endif
