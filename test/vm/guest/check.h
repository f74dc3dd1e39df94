/* SPDX-License-Identifier: MIT */
/*
 * The checks of guest programs.  Each prints one line, "ok NAME" or "not ok
 * NAME: what was seen", which test/vm/run.sh counts on the serial console.
 */
#ifndef CHECK_H
#define CHECK_H

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int check_failures;

__attribute__((format(printf, 3, 4)))
static inline bool check(bool good, const char *name, const char *format, ...)
{
	va_list arguments;

	if (good) {
		printf("ok %s\n", name);
	} else {
		printf("not ok %s: ", name);
		va_start(arguments, format);
		vprintf(format, arguments);
		va_end(arguments);
		printf("\n");
		check_failures++;
	}
	fflush(stdout);
	return good;
}

/* The call failed, and for this reason. */
#define check_errno(name, result, expected)						\
	do {										\
		long long result_ = (long long)(result);				\
		int errno_ = errno;							\
		check(result_ == -1 && errno_ == (expected), name,			\
		      "result %lld, errno %s, expected %s", result_,			\
		      result_ == -1 ? strerrorname_np(errno_) : "-",			\
		      strerrorname_np(expected));					\
	} while (0)

#define check_ok(name, result)								\
	do {										\
		long long result_ = (long long)(result);				\
		int errno_ = errno;							\
		check(result_ != -1, name, "failed with %s", strerrorname_np(errno_));	\
	} while (0)

#define check_u64(name, value, expected)						\
	do {										\
		unsigned long long value_ = (value), expected_ = (expected);		\
		check(value_ == expected_, name, "0x%llx, expected 0x%llx", value_, expected_); \
	} while (0)

/* For what a test can not do without. */
#define require(condition)								\
	do {										\
		if (!(condition)) {							\
			printf("not ok %s:%d %s: errno %s\n", __FILE__, __LINE__, #condition, \
			       strerrorname_np(errno));					\
			exit(1);							\
		}									\
	} while (0)

static inline int check_done(void)
{
	return check_failures ? 1 : 0;
}

#endif /* CHECK_H */
