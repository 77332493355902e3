enum ShipperStub {}
