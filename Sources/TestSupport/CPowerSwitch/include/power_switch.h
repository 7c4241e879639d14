#ifndef POWER_SWITCH_H
#define POWER_SWITCH_H

/*
 * Preloaded into a daemon, this library ends it at a chosen one of its steps,
 * and keeps what would have survived a loss of power.
 *
 * Steps are what changes something outside the process: syncing a file of the
 * data directory, a request over netlink, a change through bpf(2), removing a
 * pin. The process ends by SIGKILL right before the step.
 *
 *   POWER_SWITCH_DATA  the directory whose files are watched
 *   POWER_SWITCH_FILE  while it exists, it holds the number of steps to take;
 *                      it is read when it appears. FILE.cut is written with
 *                      the kind of the step that was not taken any more:
 *                      sync, netlink, bpf or unpin
 *
 * After each sync of FILE its content is copied to FILE.synced: putting those
 * copies back loses what was written and never synced.
 */

/* How many kinds of steps there are; something for the module to declare. */
enum power_switch_kinds { POWER_SWITCH_KINDS = 4 };

#endif
