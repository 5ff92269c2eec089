#!/bin/sh
# In the place of the program, in a package for a system that releases have none for.
echo "shimmy: releases have no program for {{rid}} (musl, as on Alpine): {{advice}}" >&2
exit 1
