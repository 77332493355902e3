enum FollowerTestsStub {}
