enum ShipperTestsStub {}
