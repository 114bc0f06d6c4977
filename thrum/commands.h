/* SPDX-License-Identifier: MIT */

/* The subcommands: each in a file of its name. */
#ifndef THRUM_PROGRAM_COMMANDS_H
#define THRUM_PROGRAM_COMMANDS_H

#include "options.h"

extern const command serve_command;
extern const command echo_command;
extern const command ps_command;
extern const command tree_command;
extern const command why_command;
extern const command profile_command;
extern const command doctor_command;
extern const command capture_command;
extern const command keyd_command;
extern const command trace_command;
extern const command cert_command;

/* Run with the arguments after the name; return the exit status. */
int serve_main(int argc, char **argv);
int echo_main(int argc, char **argv);
int ps_main(int argc, char **argv);
int tree_main(int argc, char **argv);
int why_main(int argc, char **argv);
int profile_main(int argc, char **argv);
int doctor_main(int argc, char **argv);
int capture_main(int argc, char **argv);
int keyd_main(int argc, char **argv);
int trace_main(int argc, char **argv);
int cert_main(int argc, char **argv);

#endif
