enum WALTestsStub {}
