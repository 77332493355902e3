enum ArchiveStub {}
