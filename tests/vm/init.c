/* SPDX-License-Identifier: MIT */

/*
 * The first process of the virtual machine that tools/vm.py makes: loads the modules in /modules,
 * runs the programs in /programs one after the other, says of each how it ended, and in the last
 * line whether all have ended well; then the machine is switched off.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int failures;

static void check(int result, const char *what)
{
    if (result >= 0)
        return;
    printf("vm: %s: %s\n", what, strerror(errno));
    failures++;
}

static void mount_all(void)
{
    static const char *const systems[][2] = {
        { "proc", "/proc" }, { "sysfs", "/sys" }, { "devtmpfs", "/dev" }, { "tmpfs", "/tmp" }
    };
    for (size_t i = 0; i < sizeof systems / sizeof systems[0]; i++) {
        (void)mkdir(systems[i][1], 0755);
        check(mount(systems[i][0], systems[i][1], systems[i][0], 0, NULL), systems[i][1]);
    }
}

/* Brings the loopback interface up. */
static void start_network(void)
{
    struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    check(ioctl(fd, SIOCSIFFLAGS, &request), "lo");
    close(fd);
}

static void load(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    check(fd < 0 ? -1 : (int)syscall(SYS_finit_module, fd, "", 0), path);
    close(fd);
}

static void run(const char *path)
{
    int status = -1;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        execl(path, path, (char *)NULL);
        _exit(127);
    }
    check(pid < 0 ? -1 : waitpid(pid, &status, 0), path);
    printf("vm: %s: %s %d\n", path, WIFEXITED(status) ? "exit" : "signal",
           WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    failures += status != 0;
}

/* Calls the function for each line of a file. */
static void for_each(const char *list, void (*fn)(const char *path))
{
    char line[4096];
    FILE *file = fopen(list, "re");
    check(file ? 0 : -1, list);
    while (file && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        fn(line);
    }
    if (file)
        fclose(file);
}

int main(void)
{
    mount_all();
    start_network();
    for_each("/modules", load);
    for_each("/programs", run);
    printf("vm: result %d\n", failures > 0);
    fflush(stdout);
    sync();
    (void)reboot(RB_POWER_OFF);
    return 1;
}
