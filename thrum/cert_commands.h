/* SPDX-License-Identifier: MIT */

/* The subcommands of thrum cert: each in a file of its name. */
#ifndef THRUM_PROGRAM_CERT_COMMANDS_H
#define THRUM_PROGRAM_CERT_COMMANDS_H

#include "options.h"

extern const command cert_dev_command;
extern const command cert_new_command;
extern const command cert_request_command;
extern const command cert_sign_command;
extern const command cert_show_command;
extern const command cert_check_command;
extern const command cert_convert_command;

/* Run with the arguments after the name; return the exit status. */
int cert_dev_main(int argc, char **argv);
int cert_new_main(int argc, char **argv);
int cert_request_main(int argc, char **argv);
int cert_sign_main(int argc, char **argv);
int cert_show_main(int argc, char **argv);
int cert_check_main(int argc, char **argv);
int cert_convert_main(int argc, char **argv);

#endif
