enum D {}
