enum ArchiveTestsStub {}
