"""A synthetic waiting list with the shape of the Dutch healthcare authority's open data.

The real set ("Wachttijden medisch-specialistische zorg") has its licence not stated with it, so this module
makes one of the same shape: 200,433 rows, 21 columns, fortnightly snapshots over a year, and the same gaps
and outliers. Everything in it is invented, the institutions above all: a number here says nothing about any
hospital. Only the names of towns, regions, specialisms and treatments are real words.

The same date and seed give the same bytes: every choice comes from seeded NumPy generators, in a fixed
order, and the waiting times are whole days.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv

COLUMNS = [
    "ID",
    "NAAM_VESTIGING",
    "KVK_VESTIGING_NR",
    "TYPE_WACHTTIJD",
    "CODE_WACHTTIJD",
    "WACHTTIJD",
    "OMS_WACHTTIJD",
    "SPECIALISME",
    "LOCATIECODE",
    "AGBCODE",
    "STRAAT",
    "POSTCODE",
    "PLAATS",
    "ROAZ_REGIO",
    "NAAM_INSTELLING",
    "TYPE_ZORGINSTELLING",
    "DATUM_ZORGBEELD",
    "WEEK_DAGEN",
    "JAARMAAND",
    "PEILDATUM",
    "INSUFFICIENT_OBSERVATIONS",
]

ROWS = 200_433
WITH_WAITING_TIME = 188_934
OVER_500_DAYS = 155
WITH_OBSERVATION_FLAG = 171_510
SNAPSHOTS = 26
"""Fortnightly, so one rolling year."""

SEPARATOR = ";"

HOSPITAL, CLINIC = "Ziekenhuis", "Kliniek"
VISIT, TREATMENT, DIAGNOSTICS = "Polikliniekbezoek", "Behandeling", "Diagnostiek"

# Specialism -> (visits, treatments, diagnostics): 120 descriptions in all, in the wording of the real list.
CARE: dict[str, tuple[list[str], list[str], list[str]]] = {
    "Oogheelkunde (301)": (
        [
            "Oogheelkunde - algemeen",
            "Oogheelkunde - Staar",
            "Oogheelkunde - Glaucoom",
            "Oogheelkunde - Netvlies",
        ],
        [
            "Initiële staaroperatie (oogheelkunde)",
            "Ooglidcorrectie (oogheelkunde)",
            "Glaucoomoperatie (oogheelkunde)",
            "Strabismuscorrectie (oogheelkunde)",
            "Nastaarbehandeling (oogheelkunde)",
            "Netvliesoperatie (oogheelkunde)",
        ],
        [],
    ),
    "KNO (302)": (
        ["KNO - algemeen", "KNO - Gehoorklachten", "KNO - Kinderen"],
        [
            "Tonsillectomie en/of adenotomie (kno)",
            "Trommelvliesbuisjes (kno)",
            "Neusschotcorrectie (kno)",
            "Bijholteoperatie (kno)",
            "Anti-snurkbehandeling (CPAP, operatieve behandeling) (kno)",
            "Stapesoperatie (kno)",
        ],
        [],
    ),
    "Chirurgie (heelkunde) (303)": (
        [
            "Chirurgie (heelkunde) - algemeen",
            "Chirurgie (heelkunde) - Proctologie",
            "Chirurgie (heelkunde) - Vaatchirurgie",
            "Chirurgie (heelkunde) - Mammapoli",
        ],
        [
            "(Vaat)chirurgische behandeling spataderen (heelkunde)",
            "Liesbreukoperatie (heelkunde)",
            "Galblaasoperatie (heelkunde)",
            "Navelbreukoperatie (heelkunde)",
            "Aambeienoperatie (heelkunde)",
            "Schildklieroperatie (heelkunde)",
            "Volumereductieoperatie maag bij overgewicht (heelkunde)",
        ],
        [],
    ),
    "Plastische Chirurgie (304)": (
        ["Plastische Chirurgie - algemeen", "Plastische Chirurgie - Hand en pols"],
        [
            "Triggerfingerrelease (plastische chirurgie)",
            "Carpaletunnelrelease (plastische chirurgie)",
            "Borstverkleining (plastische chirurgie)",
            "Borstreconstructie (plastische chirurgie)",
            "Dupuytrenoperatie (plastische chirurgie)",
            "Buikwandcorrectie (plastische chirurgie)",
        ],
        [],
    ),
    "Orthopedie (305)": (
        [
            "Orthopedie - algemeen",
            "Orthopedie - Heupklachten",
            "Orthopedie - Knieklachten",
            "Orthopedie - Schouderklachten",
        ],
        [
            "Heupvervanging (orthopedie)",
            "Knievervanging (orthopedie)",
            "Kijkoperatie knie (orthopedie)",
            "Voorste kruisbandreconstructie (orthopedie)",
            "Schouderoperatie (orthopedie)",
            "Hallux valgus-operatie (orthopedie)",
            "Rugoperatie (orthopedie)",
        ],
        [],
    ),
    "Urologie (306)": (
        ["Urologie - algemeen", "Urologie - Vasectomie"],
        [
            "Vergruizing niersteen (urologie)",
            "Prostaatoperatie (urologie)",
            "Sterilisatie man (urologie)",
            "Blaasoperatie (urologie)",
            "Incontinentieoperatie (urologie)",
        ],
        [],
    ),
    "Gynaecologie (307)": (
        ["Gynaecologie - algemeen", "Gynaecologie - Fertiliteit", "Gynaecologie - Bekkenbodem"],
        [
            "Baarmoederverwijdering (gynaecologie)",
            "Verzakkingsoperatie (gynaecologie)",
            "Ivf-behandeling (gynaecologie)",
            "Sterilisatie vrouw (gynaecologie)",
        ],
        [],
    ),
    "Neurochirurgie (308)": (
        ["Neurochirurgie - algemeen"],
        ["Hernia-operatie (neurochirurgie)", "Stenose-operatie rug (neurochirurgie)"],
        [],
    ),
    "Dermatologie (310)": (
        ["Dermatologie - algemeen", "Dermatologie - Huidkanker", "Dermatologie - Spataderen"],
        [
            "Behandeling spataderen (dermatologie)",
            "Lichttherapie (dermatologie)",
            "Mohs-chirurgie (dermatologie)",
        ],
        [],
    ),
    "Interne Geneeskunde (313)": (
        [
            "Interne Geneeskunde - algemeen",
            "Interne Geneeskunde - Diabetes",
            "Interne Geneeskunde - Schildklier",
        ],
        [],
        [],
    ),
    "Kindergeneeskunde (316)": (
        ["Kindergeneeskunde - algemeen", "Kindergeneeskunde - Allergie", "Kindergeneeskunde - Adhd"],
        [],
        [],
    ),
    "Maag-Darm-Leverziekten (318)": (
        ["Maag-Darm-Leverziekten - algemeen"],
        [],
        ["Gastroscopie", "Coloscopie"],
    ),
    "Cardiologie (320)": (
        ["Cardiologie - algemeen", "Cardiologie - Hartritmestoornissen"],
        ["Ablatie (cardiologie)", "Dotterbehandeling (cardiologie)", "Pacemakerimplantatie (cardiologie)"],
        ["Echocardiografie", "Holteronderzoek"],
    ),
    "Longziekten (322)": (
        ["Longziekten - algemeen", "Longziekten - Slaapapneu"],
        [],
        ["Longfunctieonderzoek"],
    ),
    "Reumatologie (324)": (["Reumatologie - algemeen", "Reumatologie - Fibromyalgie"], [], []),
    "Allergologie (326)": (["Allergologie - algemeen"], [], []),
    "Revalidatiegeneeskunde (327)": (
        ["Revalidatiegeneeskunde - algemeen"],
        ["Poliklinische revalidatie"],
        [],
    ),
    "Cardio-thoracale Chirurgie (328)": (
        ["Cardio-thoracale Chirurgie - algemeen"],
        ["Bypassoperatie (cardio-thoracale chirurgie)", "Hartklepoperatie (cardio-thoracale chirurgie)"],
        [],
    ),
    "Neurologie (330)": (
        ["Neurologie - algemeen", "Neurologie - Hoofdpijn", "Neurologie - Geheugen"],
        [],
        ["Emg-onderzoek", "Slaaponderzoek"],
    ),
    "Klinische Geriatrie (335)": (
        ["Klinische Geriatrie - algemeen", "Geheugenpoli (klinische geriatrie)"],
        [],
        [],
    ),
    "Radiologie (362)": (
        [],
        [],
        ["MRI-scan", "CT-scan", "Echografie", "Mammografie", "Röntgenonderzoek", "Botdichtheidsmeting"],
    ),
    "Anesthesiologie (389)": (
        ["Anesthesiologie / Pijnbestrijding"],
        ["Zenuwblokkade (pijnbestrijding)", "Neurostimulatie (pijnbestrijding)"],
        [],
    ),
    "Klinische Genetica (390)": (["Klinische Genetica - algemeen"], [], []),
    "Kaakchirurgie (303K)": (
        ["Kaakchirurgie - algemeen"],
        ["Apexresectie(s) (kaakchirurgie)", "Verwijderen verstandskiezen (kaakchirurgie)"],
        [],
    ),
    "Transgenderzorg (300)": (["Transgender zorg"], [], []),
}

# Acute-care region -> (town, first four figures of its postcodes).
TOWNS: dict[str, list[tuple[str, int]]] = {
    "Noord-NL": [
        ("Groningen", 9711),
        ("Leeuwarden", 8911),
        ("Assen", 9401),
        ("Drachten", 9201),
        ("Emmen", 7811),
    ],
    "Euregio": [("Enschede", 7511), ("Hengelo", 7551), ("Almelo", 7601), ("Oldenzaal", 7571)],
    "Zwolle": [("Zwolle", 8011), ("Deventer", 7411), ("Hardenberg", 7771), ("Meppel", 7941)],
    "Oost": [("Arnhem", 6811), ("Nijmegen", 6511), ("Ede", 6711), ("Doetinchem", 7001), ("Tiel", 4001)],
    "Midden-NL": [
        ("Utrecht", 3511),
        ("Amersfoort", 3811),
        ("Nieuwegein", 3431),
        ("Woerden", 3441),
        ("Zeist", 3701),
    ],
    "SpzNet AMC": [
        ("Amsterdam", 1011),
        ("Hoorn", 1621),
        ("Almere", 1311),
        ("Hilversum", 1211),
        ("Purmerend", 1441),
    ],
    "Noordwest": [
        ("Alkmaar", 1811),
        ("Haarlem", 2011),
        ("Den Helder", 1781),
        ("Hoofddorp", 2131),
        ("Zaandam", 1501),
    ],
    "West": [("Den Haag", 2511), ("Leiden", 2311), ("Delft", 2611), ("Gouda", 2801), ("Zoetermeer", 2711)],
    "Zuidwest-NL": [("Rotterdam", 3011), ("Dordrecht", 3311), ("Goes", 4461), ("Vlissingen", 4381)],
    "Brabant": [
        ("Tilburg", 5011),
        ("Eindhoven", 5611),
        ("Breda", 4811),
        ("Den Bosch", 5211),
        ("Helmond", 5701),
    ],
    "Limburg": [
        ("Maastricht", 6211),
        ("Heerlen", 6411),
        ("Venlo", 5911),
        ("Roermond", 6041),
        ("Weert", 6001),
    ],
}

_NAMES = [
    "De Linde",
    "Het Meerhof",
    "Waterland",
    "De Eik",
    "Zonnestein",
    "De Wilgen",
    "Hoogveld",
    "Lindenhof",
    "De Brink",
    "Nieuwland",
    "Duinzicht",
    "De Horst",
    "Sparrenburg",
    "Het Anker",
    "Rozenhage",
    "De Populier",
    "Beekdal",
    "Molenwijk",
    "De Kade",
    "Oosterhof",
    "Lentehof",
    "Vrijburg",
    "De Klaver",
    "Kastanjehof",
    "Zuiderpark",
    "Het Baken",
    "Merelhof",
    "Waterlinie",
    "De Vesting",
    "Parkzicht",
    "Bergzicht",
    "De Akker",
]
_STREETS = [
    "Stationsweg",
    "Parklaan",
    "Molenstraat",
    "Dokterspad",
    "Singel",
    "Kerkstraat",
    "Beatrixlaan",
    "Zorgboulevard",
    "Industrieweg",
    "Dreef",
]
_WEEKDAYS = ["maandag", "dinsdag", "woensdag", "donderdag", "vrijdag", "zaterdag", "zondag"]
_HEARTLIFE = "Heartlife Klinieken"

_WORLD = 2021
"""Seeds what the model can see, which neither date nor seed changes: so R2 is a property of the set."""
# Spread of the logarithm of the waiting time. What the model's four features can see, against what they
# cannot (the description, the place, chance), puts a tree's R2 near the 0.35 that the real list allows.
_SEEN = {"specialism": 0.42, "specialism_and_type": 0.26, "region": 0.20}
_UNSEEN = {"description": 0.32, "place": 0.42, "offer": 0.52, "snapshot": 0.20}
_TYPICAL_DAYS = {VISIT: 32.0, TREATMENT: 62.0, DIAGNOSTICS: 17.0}
_CLINIC_FACTOR = 0.66


def descriptions() -> pd.DataFrame:
    """The 120 kinds of care: description, specialism, type and code."""
    rows = [
        (text, specialism, kind, f"{kind[0]}{specialism.split('(')[-1].rstrip(')')}-{number:02d}")
        for specialism, care in CARE.items()
        for kind, texts in zip((VISIT, TREATMENT, DIAGNOSTICS), care, strict=True)
        for number, text in enumerate(texts, 1)
    ]
    return pd.DataFrame(rows, columns=["OMS_WACHTTIJD", "SPECIALISME", "TYPE_WACHTTIJD", "CODE_WACHTTIJD"])


def snapshot_days(date: dt.date) -> list[dt.date]:
    """The last 26 Tuesdays of even weeks up to `date`, oldest first: when the list is drawn up."""
    day = date - dt.timedelta(days=(date.weekday() - 1) % 7)
    days: list[dt.date] = []
    while len(days) < SNAPSHOTS:
        if day.isocalendar().week % 2 == 0:
            days.append(day)
        day -= dt.timedelta(days=7)
    return days[::-1]


def generate(date: dt.date, seed: int) -> pd.DataFrame:
    """The waiting list as it stood on `date`: 200,433 rows in the real list's 21 columns.

    Args:
        date: No snapshot is later than this day. It also seeds the numbers, so every day has its own
            list, of the same institutions.
        seed: Another seed is another list of the same shape.
    """
    care = descriptions()
    lasting = np.random.default_rng(seed)  # institutions and what they do outlive a day
    places = _places(lasting)
    offers = _offers(lasting, places, care)
    rng = np.random.default_rng([seed, date.toordinal()])
    rows = _rows(rng, offers, places, care)
    days = _waiting_days(rng, rows, places, care)
    return _table(rng, rows, days, places, care, snapshot_days(date))


def write(table: pd.DataFrame, path: Path) -> Path:
    """Write the list as a `;`-separated UTF-8 file without an index column."""
    arrow = pa.table({name: _arrow_column(table[name]) for name in table.columns})
    options = pyarrow.csv.WriteOptions(include_header=False, delimiter=SEPARATOR, quoting_style="needed")
    with path.open("wb") as file:
        # Arrow would put every name in quotes.
        file.write(f"{SEPARATOR.join(table.columns)}\n".encode())
        pyarrow.csv.write_csv(arrow, file, write_options=options)
    return path


def _arrow_column(column: pd.Series) -> pa.Array:
    if isinstance(column.dtype, pd.CategoricalDtype):
        codes = column.cat.codes.to_numpy()
        values = pa.array([str(value) for value in column.cat.categories])
        return values.take(pa.array(codes, mask=codes < 0))
    return pa.array(column, from_pandas=True)


def _places(rng: np.random.Generator) -> pd.DataFrame:
    """Institutions and their locations; row 0 is Heartlife, the clinic whose type the list forgets."""
    rows: list[tuple[str, str, str, str, int, int]] = []
    agb = {HOSPITAL: 6_010_100, CLINIC: 22_220_100}
    for region, towns in TOWNS.items():
        for kind, count, most in ((HOSPITAL, 7, 3), (CLINIC, 17, 3)):
            names = rng.permutation(len(_NAMES))
            for number in range(count):
                title = (
                    kind
                    if kind == HOSPITAL
                    else ("Kliniek", "Behandelcentrum", "Medisch Centrum")[number % 3]
                )
                home = int(rng.integers(len(towns)))
                name = f"{title} {_NAMES[names[number]]} {towns[home][0]}"
                agb[kind] += 1
                for location in range(int(rng.integers(1, most + 1))):
                    town, postcode = towns[(home + location) % len(towns)]
                    rows.append((name, f"{name}, locatie {town}", kind, region, agb[kind], postcode))
    places = pd.DataFrame(
        [(_HEARTLIFE, _HEARTLIFE, CLINIC, "Midden-NL", 22_220_001, 3511), *rows],
        columns=["institution", "place", "kind", "region", "agb", "postcode"],
    )
    towns = {postcode: town for listed in TOWNS.values() for town, postcode in listed}
    count = len(places)
    letters = np.array([chr(65 + first) + chr(65 + second) for first in range(26) for second in range(26)])
    places["town"] = places["postcode"].map(towns)
    places["address"] = [
        f"{_STREETS[street]} {number}"
        for street, number in zip(
            rng.integers(len(_STREETS), size=count), rng.integers(1, 200, size=count), strict=True
        )
    ]
    blocks = places["postcode"].to_numpy() + rng.integers(0, 40, size=count)
    places["postcode"] = [
        f"{block} {pair}" for block, pair in zip(blocks, letters[rng.integers(676, size=count)], strict=True)
    ]
    places["kvk"] = [f"{number:012d}" for number in 40_000_000 + np.arange(count) * 7_919]
    places["code"] = [f"L{number:05d}" for number in 10_000 + np.arange(count)]
    return places


def _offers(rng: np.random.Generator, places: pd.DataFrame, care: pd.DataFrame) -> pd.DataFrame:
    """What is done where: a hospital offers much of everything, a clinic much of one to three specialisms."""
    specialisms = list(CARE)
    specialism = care["SPECIALISME"].map({name: code for code, name in enumerate(specialisms)}).to_numpy()
    clinical = np.array(
        [name not in ("Radiologie (362)", "Klinische Genetica (390)") for name in specialisms]
    )
    hospital = (places["kind"] == HOSPITAL).to_numpy()
    taste = rng.random((len(places), len(specialisms))) * clinical
    rank = (-taste).argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
    wanted = np.where(hospital[:, None], True, rank < rng.integers(1, 4, size=len(places))[:, None])
    chance = np.where(hospital, 0.47, 0.80)
    offered = wanted[:, specialism] & (rng.random((len(places), len(care))) < chance[:, None])
    offered[0] = False
    place, kind_of_care = np.nonzero(offered)
    return pd.DataFrame({"place": place, "care": kind_of_care})


def _rows(
    rng: np.random.Generator, offers: pd.DataFrame, places: pd.DataFrame, care: pd.DataFrame
) -> pd.DataFrame:
    """Which offer stands in which snapshot; now and then one reports nothing. Heartlife reports once."""
    possible = SNAPSHOTS * len(offers)
    chosen = np.sort(rng.permutation(possible)[: ROWS - 1])
    snapshot, offer = np.divmod(chosen, len(offers))
    heartlife = int(np.searchsorted(snapshot, SNAPSHOTS // 2))
    cardiology = int(care.index[care["OMS_WACHTTIJD"] == "Cardiologie - algemeen"][0])
    return pd.DataFrame(
        {
            "snapshot": np.insert(snapshot, heartlife, SNAPSHOTS // 2),
            "offer": np.insert(offer, heartlife, len(offers)),
            "place": np.insert(offers["place"].to_numpy()[offer], heartlife, 0),
            "care": np.insert(offers["care"].to_numpy()[offer], heartlife, cardiology),
        }
    )


def _waiting_days(
    rng: np.random.Generator, rows: pd.DataFrame, places: pd.DataFrame, care: pd.DataFrame
) -> np.ndarray:
    """Whole days, NaN where too few patients came to tell; 155 rows above 500 days, as in the real list."""
    specialism, _ = pd.factorize(care["SPECIALISME"])
    kind, kinds = pd.factorize(care["TYPE_WACHTTIJD"])
    region, regions = pd.factorize(places["region"])

    seen = np.random.default_rng(_WORLD)

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape)

    by_care = (
        np.log([_TYPICAL_DAYS[name] for name in kinds])[kind]
        + _SEEN["specialism"] * seen.standard_normal(len(CARE))[specialism]
        + _SEEN["specialism_and_type"] * seen.standard_normal((len(CARE), len(kinds)))[specialism, kind]
        + _UNSEEN["description"] * normal(len(care))
    )
    by_place = (
        _SEEN["region"] * seen.standard_normal(len(regions))[region]
        + np.log(np.where(places["kind"] == CLINIC, _CLINIC_FACTOR, 1.0))
        + _UNSEEN["place"] * normal(len(places))
    )
    offers = int(rows["offer"].max()) + 1
    logarithm = (
        by_care[rows["care"]]
        + by_place[rows["place"]]
        + _UNSEEN["offer"] * normal(offers)[rows["offer"]]
        + _UNSEEN["snapshot"] * normal(len(rows))
    )
    days = np.maximum(np.rint(np.exp(logarithm)), 1.0)

    # The offers that few people use are the ones that miss a number most often.
    rarity = rng.random(offers)[rows["offer"]] + rng.random(len(rows))
    rarity[rows["place"] == 0] = -1.0
    days[np.argsort(-rarity, kind="stable")[: ROWS - WITH_WAITING_TIME]] = np.nan

    longest = np.argsort(np.where(np.isnan(days), -1.0, -days), kind="stable")[:OVER_500_DAYS]
    tail = np.sort(np.maximum(days[longest], 501.0 + rng.integers(0, 420, size=OVER_500_DAYS)))[::-1]
    days = np.minimum(days, 500.0)
    days[longest] = tail
    return days


def _table(
    rng: np.random.Generator,
    rows: pd.DataFrame,
    days: np.ndarray,
    places: pd.DataFrame,
    care: pd.DataFrame,
    snapshots: list[dt.date],
) -> pd.DataFrame:
    place, kind_of_care = rows["place"].to_numpy(), rows["care"].to_numpy()
    reported = [[day - dt.timedelta(days=back) for back in range(14)] for day in snapshots]
    # An institution reports on its own day of the fortnight.
    lag = rng.integers(0, 14, size=len(places))[place]
    when = rows["snapshot"].to_numpy() * 14 + lag
    report_days = [day for days_before in reported for day in days_before]

    def of(values: list[str] | pd.Series, codes: np.ndarray) -> pd.Categorical:
        unique = pd.factorize(pd.Series(values, dtype=object))
        return pd.Categorical.from_codes(unique[0][codes], categories=unique[1])

    heartlife = place == 0
    institution_type = of(places["kind"], place).codes.copy()
    institution_type[heartlife] = -1
    flag = np.isnan(days).astype(float)
    flag[: ROWS - WITH_OBSERVATION_FLAG] = np.nan  # the column came after the first snapshots of the year
    columns = {
        "ID": np.arange(1, ROWS + 1),
        "NAAM_VESTIGING": of(places["place"], place),
        "KVK_VESTIGING_NR": of(places["kvk"], place),
        "WACHTTIJD": days,
        **{name: of(care[name], kind_of_care) for name in care.columns},
        "LOCATIECODE": of(places["code"], place),
        "AGBCODE": places["agb"].to_numpy()[place],
        "STRAAT": of(places["address"], place),
        "POSTCODE": of(places["postcode"], place),
        "PLAATS": of(places["town"], place),
        "ROAZ_REGIO": of(places["region"], place),
        "NAAM_INSTELLING": of(places["institution"], place),
        "TYPE_ZORGINSTELLING": pd.Categorical.from_codes(
            institution_type, categories=of(places["kind"], place).categories
        ),
        "DATUM_ZORGBEELD": np.array([int(f"{day:%Y%m%d}") for day in report_days])[when],
        "WEEK_DAGEN": of(
            [f"{day.isocalendar().week:02d} {_WEEKDAYS[day.weekday()]}" for day in report_days], when
        ),
        "JAARMAAND": np.array([int(f"{day:%Y%m}") for day in report_days])[when],
        "PEILDATUM": of([day.isoformat() for day in snapshots], rows["snapshot"].to_numpy()),
        "INSUFFICIENT_OBSERVATIONS": flag,
    }
    return pd.DataFrame({name: columns[name] for name in COLUMNS})
