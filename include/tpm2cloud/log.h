/*
 * One line a call to stderr. Under systemd (JOURNAL_STREAM is set) each line begins with the <n> prefix of sd-daemon(3).
 */
#ifndef TPM2CLOUD_LOG_H
#define TPM2CLOUD_LOG_H

enum t2c_level { T2C_LOG_ERROR = 3, T2C_LOG_WARNING = 4, T2C_LOG_NOTICE = 5, T2C_LOG_INFO = 6, T2C_LOG_DEBUG = 7 };

/* Names the program in each line, and the least urgent level that is still printed. */
void t2c_log_open(const char *program, enum t2c_level limit);
void t2c_log(enum t2c_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
