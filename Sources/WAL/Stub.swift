enum WALStub {}
