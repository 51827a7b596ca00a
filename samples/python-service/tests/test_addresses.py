import unittest

from app.addresses import MAX_LENGTH, AddressStore, InvalidAddress, parse_address

ADA = {
    "name": "Ada Lovelace",
    "street": "12 St James's Square",
    "postalCode": "SW1Y 4JH",
    "city": "London",
    "country": "GB",
}


class ParseAddress(unittest.TestCase):
    def test_trims_every_field(self):
        self.assertEqual(parse_address({**ADA, "city": "  London "}), ADA)

    def test_names_what_is_wrong(self):
        cases = [
            ([], "an address is a JSON object"),
            ({**ADA, "phone": "1"}, "unknown field: phone"),
            ({**ADA, "city": 7}, "city must be a text that is not empty"),
            ({**ADA, "name": " "}, "name must be a text that is not empty"),
            ({key: ADA[key] for key in ADA if key != "street"}, "street must be a text that is not empty"),
            ({**ADA, "city": "x" * (MAX_LENGTH + 1)}, "city is longer than 200 characters"),
        ]
        for value, message in cases:
            with self.subTest(message), self.assertRaises(InvalidAddress) as raised:
                parse_address(value)
            self.assertEqual(str(raised.exception), message)


class Store(unittest.TestCase):
    def test_keeps_what_is_added(self):
        store = AddressStore()
        ada = store.add(ADA)
        self.assertEqual(ada, {"id": ada["id"], **ADA})
        self.assertEqual(store.get(ada["id"]), ada)
        self.assertEqual(store.all(), [ada])

    def test_gives_equal_addresses_ids_of_their_own(self):
        store = AddressStore()
        self.assertNotEqual(store.add(ADA)["id"], store.add(ADA)["id"])

    def test_removes_once(self):
        store = AddressStore()
        ada = store.add(ADA)
        self.assertTrue(store.remove(ada["id"]))
        self.assertIsNone(store.get(ada["id"]))
        self.assertFalse(store.remove(ada["id"]))


if __name__ == "__main__":
    unittest.main()
