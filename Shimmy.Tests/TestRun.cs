// Classes of tests run beside each other, the tests of one class one after the other: many classes share one server among their tests.
// A class that measures time or memory, or that loads every processor, says [DoNotParallelize] and runs after the others.
[assembly: Parallelize(Workers = 0, Scope = ExecutionScope.ClassLevel)]
