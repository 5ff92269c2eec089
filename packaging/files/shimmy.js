#!/usr/bin/env node
// Starts the program that came with the package of this platform; its exit code and signals are this one's.
'use strict';
const { spawn } = require('node:child_process');
const { constants } = require('node:os');
const { dirname, join } = require('node:path');

const musl = process.platform === 'linux' && !process.report.getReport().header.glibcVersionRuntime;
const name = `@shimmy-server/${process.platform}-${process.arch}${musl ? '-musl' : ''}`;
let folder;
try {
  folder = dirname(require.resolve(`${name}/package.json`));
} catch {
  console.error(`shimmy: the package ${name} is missing. npm leaves it out with --no-optional or --omit=optional, and where there is none for this platform.`);
  process.exit(1);
}
// Before the program starts, which a signal that ends this process would leave behind.
// Where it was sent to the whole group, by a terminal or a supervisor, the program has it already, and takes two within a second as one.
// Windows sends Ctrl+C to the program by itself; what is passed on would end it there.
const windows = process.platform === 'win32';
const forwarded = windows ? ['SIGTERM', 'SIGHUP'] : ['SIGINT', 'SIGTERM', 'SIGHUP'];
for (const signal of forwarded) process.on(signal, () => child.kill(signal));
// This process must not end before the program.
const left = windows ? ['SIGINT', 'SIGBREAK'] : ['SIGQUIT'];
for (const signal of left) process.on(signal, () => {});
const child = spawn(join(folder, process.platform === 'win32' ? 'shimmy.exe' : 'shimmy'), process.argv.slice(2), { stdio: 'inherit' });
child.on('error', error => {
  console.error(`shimmy: ${error.message}`);
  process.exit(1);
});
child.on('exit', (code, signal) => {
  if (signal) {
    for (const one of [...left, ...forwarded]) process.removeAllListeners(one);
    // As the first process of a container it outlives its own signal; then this is what a shell would say.
    process.exitCode = 128 + constants.signals[signal];
    process.kill(process.pid, signal);
  } else {
    process.exit(code);
  }
});
