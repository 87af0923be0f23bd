"""Real artists and titles, by the encodings in which old tags hold them."""

from __future__ import annotations

RUSSIAN = """Мумий Тролль|Утекай
Кино|Группа крови
Кино|Звезда по имени Солнце
Земфира|Искала
Сплин|Выхода нет
Аквариум|Город золотой
ДДТ|Это всё
ДДТ|Осень
Би-2|Полковнику никто не пишет
Наутилус Помпилиус|Крылья
Алла Пугачёва|Миллион алых роз
Виктор Цой|Перемен
Король и Шут|Лесник
Ленинград|Экспонат
Агата Кристи|Как на войне
Чайф|Не спеши
Машина времени|Поворот
Владимир Высоцкий|Кони привередливые
Булат Окуджава|Грузинская песня
Любэ|Конь
Ария|Беспечный ангел
Пикник|Шарманка
Крематорий|Мусорный ветер
Ночные снайперы|31-я весна
Звери|Районы-кварталы
Мельница|Лента в волосах
Океан Ельзи|Обійми
Воплі Відоплясова|Весна
Калинов Мост|Родная
Гражданская оборона|Всё идёт по плану
Кипелов|Я свободен
Смысловые галлюцинации|Вечно молодой
Танцы минус|Город
Ляпис Трубецкой|Ау
Чиж & Co|Вечная молодость
Браво|Этот город
Секрет|Моя любовь на пятом этаже
Жуки|Батарейка
Дискотека Авария|Новогодняя
Руки вверх|Крошка моя
Иванушки International|Тучи
На-На|Фаина
Ласковый май|Белые розы
Технология|Нажми на кнопку
Альянс|На заре
Пётр Налич|Гитар
Вячеслав Бутусов|Девушка по городу
Несчастный случай|Генералы песчаных карьеров
Високосный год|Лучшая песня о любви
Тараканы!|Я смотрю на них"""

TRADITIONAL_CHINESE = """周杰倫|青花瓷
鄧麗君|月亮代表我的心
張惠妹|聽海
五月天|突然好想你
陳奕迅|十年
王菲|紅豆
張學友|吻別
劉德華|忘情水
蔡依林|日不落
孫燕姿|遇見
林俊傑|江南
梁靜茹|勇氣
伍佰|挪威的森林
羅大佑|童年
李宗盛|山丘
齊秦|大約在冬季
周華健|朋友
張國榮|當愛已成往事
梅艷芳|女人花
蘇打綠|小情歌"""

SIMPLIFIED_CHINESE = """崔健|一无所有
周杰伦|七里香
邓丽君|甜蜜蜜
王菲|传奇
许巍|蓝莲花
朴树|平凡之路
汪峰|北京北京
李健|贝加尔湖畔
韩红|天路
刀郎|冲动的惩罚
那英|征服
田震|执着
黑豹乐队|无地自容
唐朝乐队|梦回唐朝
老狼|同桌的你
孙楠|你快回来
陈奕迅|孤勇者
张学友|吻别
刘欢|好汉歌
赵传|我是一只小小鸟"""

JAPANESE = """宇多田ヒカル|初恋
美空ひばり|川の流れのように
坂本九|上を向いて歩こう
椎名林檎|丸の内サディスティック
スピッツ|ロビンソン
サザンオールスターズ|いとしのエリー
松任谷由実|ひこうき雲
中島みゆき|糸
井上陽水|少年時代
山口百恵|さよならの向う側
尾崎豊|卒業
浜崎あゆみ|マリア
安室奈美恵|キャン・ユー・セレブレイト
槇原敬之|どんなときも
米津玄師|レモン
星野源|恋
久石譲|となりのトトロ
矢野顕子|春咲小紅
大滝詠一|君は天然色
竹内まりや|プラスティック・ラヴ"""

KOREAN = """서태지와 아이들|난 알아요
조용필|단발머리
아이유|좋은 날
김광석|서른 즈음에
이문세|붉은 노을
소녀시대|다시 만난 세계
빅뱅|거짓말
동방신기|주문
신승훈|보이지 않는 사랑
이선희|인연
산울림|아니 벌써
들국화|그것만이 내 세상
유재하|사랑하기 때문에
김현식|비처럼 음악처럼
윤도현 밴드|사랑했나봐
자우림|하하하쏭
델리스파이스|챠우챠우
크라잉넛|말달리자
이효리|텐미닛
박효신|눈의 꽃"""

GREEK = """Μίκης Θεοδωράκης|Το τρένο φεύγει στις οκτώ
Νάνα Μούσχουρη|Χάρτινο το φεγγαράκι
Γιώργος Νταλάρας|Να 'τανε το 21
Χάρις Αλεξίου|Οι φίλοι μου χαράματα
Βασίλης Τσιτσάνης|Συννεφιασμένη Κυριακή
Σωτηρία Μπέλλου|Ζεϊμπέκικο
Δήμητρα Γαλάνη|Θάλασσα πλατιά
Σταύρος Ξαρχάκος|Άσπρη μέρα
Ελευθερία Αρβανιτάκη|Δυνατά
Γιάννης Πάριος|Τώρα πια
Παύλος Σιδηρόπουλος|Να μ' αγαπάς
Τρύπες|Γιορτή
Πυξ Λαξ|Μοναξιά μου όλα
Μάνος Χατζιδάκις|Τα παιδιά του Πειραιά
Στέλιος Καζαντζίδης|Υπάρχω"""

HEBREW = """אריק איינשטיין|אני ואתה
עפרה חזה|גלבי
יהודית רביץ|באה מאהבה
שלמה ארצי|תרקוד
מתי כספי|ברית עולם
כוורת|יו יה
משינה|רכבת לילה לקהיר
חוה אלברשטיין|לונדון
עידן רייכל|ממעמקים
זוהר ארגוב|הפרח בגני"""

ARABIC = """أم كلثوم|إنت عمري
فيروز|نسم علينا الهوى
عبد الحليم حافظ|قارئة الفنجان
محمد عبد الوهاب|يا مسافر وحدك
عمرو دياب|نور العين
كاظم الساهر|زيديني عشقا
وردة الجزائرية|بتونس بيك
ماجدة الرومي|كلمات
فريد الأطرش|الربيع
أسمهان|ليالي الأنس في فيينا"""

THAI = """คาราบาว|บัวลอย
บอดี้สแลม|แสงสุดท้าย
ธงไชย แมคอินไตย์|สบาย สบาย
แสตมป์|ความคิด
โมเดิร์นด็อก|ก่อน
พุ่มพวง ดวงจันทร์|นักร้องบ้านนอก
ปาล์มมี่|อยากร้องดังดัง
ลาบานูน|เชือกวิเศษ
โลโซ|ซมซาน
อัสนี-วสันต์|บังอรเอาแต่นอน"""

ENCODED = {
    "windows-1251": RUSSIAN,
    "koi8-r": RUSSIAN.replace("Обійми", "Небо").replace("Воплі Відоплясова", "Вася"),
    "big5": TRADITIONAL_CHINESE,
    "gb18030": SIMPLIFIED_CHINESE,
    "shift_jis": JAPANESE,
    "euc_jp": JAPANESE,
    "euc_kr": KOREAN,
    "windows-1253": GREEK,
    "windows-1255": HEBREW,
    "windows-1256": ARABIC,
    "cp874": THAI,
}

WESTERN = """Café Tacvba|Eres
Björk|Jóga
Mötley Crüe|Girls, Girls, Girls
Sigur Rós|Ágætis byrjun
Sigur Rós|Ný batterí
Sigur Rós|Glósóli
Sigur Rós|Sæglópur
Señor Coconut|Trans Europe Express
Motörhead|Ace of Spades
Blue Öyster Cult|(Don't Fear) The Reaper
Queensrÿche|Silent Lucidity
Hüsker Dü|Makes No Sense at All
Édith Piaf|Non, je ne regrette rien
Édith Piaf|Hymne à l'amour
Françoise Hardy|Tous les garçons et les filles
Beyoncé|Déjà Vu
Céline Dion|S'il suffisait d'aimer
Julio Iglesias|Un canto a Galicia
Maná|Rayando el sol
Los Ángeles Azules|Cómo te voy a olvidar
Caetano Veloso|Você é linda
João Gilberto|Chega de saudade
Antônio Carlos Jobim|Águas de março
Gilberto Gil|Expresso 2222
Ásgeir|Dýrð í dauðaþögn
Árstíðir|Heyr himna smiður
Mugison|Stingum af
Kaizers Orchestra|Øgje til sør
Bjørn Eidsvåg|Eg ser
Mø|Kamikaze
Röyksopp|Eple
A-ha|Hunting High and Low
Kent|När det blåser på månen
Håkan Hellström|Känn ingen sorg för mig Göteborg
Cornelis Vreeswijk|Ågren
Tomas Ledin|Sommaren är kort
Lill-Babs|Är du kär i mej ännu Klas-Göran
Die Ärzte|Männer sind Schweine
Die Toten Hosen|Tage wie diese
Einstürzende Neubauten|Stella Maris
Herbert Grönemeyer|Männer
Rammstein|Führe mich
Kraftwerk|Die Roboter
Element of Crime|Weißes Papier
Apocalyptica|Hall of the Mountain King
Eppu Normaali|Murheellisten laulujen maa
Värttinä|Äijö
Maija Vilkkumaa|Ei
J. Karjalainen|Ääniä yössä
Ultra Bra|Sä lähdit pois
Øde|Å
Åse Kleveland|Intet er nytt under solen
Ñu|Más duro que nunca
Ø|Røntgen
Ä|ÄÖ
Þeyr|Þagalaust
Éric Serra|Où
Noël|À côté
Zoé|Soñé
Xoel López|Ñ"""
