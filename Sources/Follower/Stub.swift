enum FollowerStub {}
