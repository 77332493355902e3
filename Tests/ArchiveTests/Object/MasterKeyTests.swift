import Archive
import Testing

@Suite struct MasterKeyTests {
    static let digits = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
    static let key = MasterKey(bytes: (0..<32).map { UInt8($0) })

    @Test(arguments: [digits, digits + "\n", digits + "\r\n", digits.uppercased()])
    func aKeyIsSixtyFourHexDigitsOnOneLine(text: String) throws {
        #expect(try MasterKey(text: Array(text.utf8)) == Self.key)
    }

    @Test func whateverElseIsGivenIsRefusedAndNotRepeated() {
        let secret = "deadbeef"
        let texts = [
            "", "\n", String(Self.digits.dropLast()), Self.digits + "0", " " + Self.digits, Self.digits + " ", Self.digits + "\n\n", "0x" + Self.digits.dropFirst(2),
            Self.digits.dropLast() + "g", String(repeating: secret, count: 7), String(repeating: secret, count: 5) + "AAA=", "+" + Self.digits.dropFirst(),
            String(repeating: "é", count: 32), String(repeating: "k", count: 32),
        ]
        for text in texts {
            let error = #expect(throws: ArchiveError.self, "\(text)") { try MasterKey(text: Array(text.utf8)) }
            #expect(error?.code == .invalid && error?.hint != nil)
            #expect(error?.description.contains(secret) == false)
        }
        #expect(throws: ArchiveError.self) { try MasterKey(text: (0..<32).map { UInt8($0) + 200 }) }
        #expect(throws: ArchiveError.self) { try MasterKey(text: [UInt8](repeating: 255, count: 64)) }
    }

    @Test func aNewKeyIsLikeNoOtherAndIsReadBack() throws {
        var generator = SystemRandomNumberGenerator()
        let keys = (0..<4).map { _ in MasterKey.random(using: &generator) }
        #expect(Set(keys).count == 4 && Set(keys.map(\.id)).count == 4)
        for key in keys { #expect(try MasterKey(text: Array(key.secretText.utf8)) == key) }
        #expect(Self.key.secretText == Self.digits)
    }

    @Test func aKeyIsShownByItsIDOnly() throws {
        var dumped = ""
        dump([Self.key], to: &dumped)
        dump(KeyRing(current: Self.key), to: &dumped)
        for text in ["\(Self.key)", String(reflecting: Self.key), "\(KeyRing(current: Self.key))", dumped] {
            #expect(!text.contains("0001020304") && !text.contains("30, 31"), "\(text)")
        }
        #expect("\(Self.key)" == "key \(Self.key.id)")
        #expect(KeyID(hex: Self.key.id.description) == Self.key.id && KeyID(hex: Self.digits) == nil)
        // Computed with another implementation of HKDF-SHA256.
        #expect(Self.key.id.description == "b278fe81b8408d5ee54d2a22427320f7")
    }
}
