// Classes of tests run beside each other, the tests of one class one after the other: many classes share one server among their tests.
// A class that measures time or memory, or that loads every processor, says [DoNotParallelize] and runs after the others.
// Four at a time, on two processors as well: most classes wait for most of their time, for a process that starts or for a time limit.
[assembly: Parallelize(Workers = 4, Scope = ExecutionScope.ClassLevel)]
