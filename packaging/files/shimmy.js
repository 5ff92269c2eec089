#!/usr/bin/env node
// Starts the program that came with the package of this platform; its exit code and signals are this one's.
'use strict';
const { spawn } = require('node:child_process');
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
// A terminal sends these to the whole group, so the program has them already: only this process must not end before it.
const ofTerminal = ['SIGINT', 'SIGQUIT'];
for (const signal of ofTerminal) process.on(signal, () => {});
// These are sent to one process, which is this.
const forwarded = ['SIGTERM', 'SIGHUP'];
for (const signal of forwarded) process.on(signal, () => child.kill(signal));
const child = spawn(join(folder, process.platform === 'win32' ? 'shimmy.exe' : 'shimmy'), process.argv.slice(2), { stdio: 'inherit' });
child.on('error', error => {
  console.error(`shimmy: ${error.message}`);
  process.exit(1);
});
child.on('exit', (code, signal) => {
  if (signal) {
    for (const one of [...ofTerminal, ...forwarded]) process.removeAllListeners(one);
    process.kill(process.pid, signal);
  } else {
    process.exit(code);
  }
});
