"""Functions that threads run, each once."""

from marks import here


def f000():
    here()


def f001():
    here()


def f002():
    here()


def f003():
    here()


def f004():
    here()


def f005():
    here()


def f006():
    here()


def f007():
    here()


def f008():
    here()


def f009():
    here()


def f010():
    here()


def f011():
    here()


def f012():
    here()


def f013():
    here()


def f014():
    here()


def f015():
    here()


def f016():
    here()


def f017():
    here()


def f018():
    here()


def f019():
    here()


def f020():
    here()


def f021():
    here()


def f022():
    here()


def f023():
    here()


def f024():
    here()


def f025():
    here()


def f026():
    here()


def f027():
    here()


def f028():
    here()


def f029():
    here()


def f030():
    here()


def f031():
    here()


def f032():
    here()


def f033():
    here()


def f034():
    here()


def f035():
    here()


def f036():
    here()


def f037():
    here()


def f038():
    here()


def f039():
    here()


def f040():
    here()


def f041():
    here()


def f042():
    here()


def f043():
    here()


def f044():
    here()


def f045():
    here()


def f046():
    here()


def f047():
    here()


def f048():
    here()


def f049():
    here()


def f050():
    here()


def f051():
    here()


def f052():
    here()


def f053():
    here()


def f054():
    here()


def f055():
    here()


def f056():
    here()


def f057():
    here()


def f058():
    here()


def f059():
    here()


def f060():
    here()


def f061():
    here()


def f062():
    here()


def f063():
    here()


def f064():
    here()


def f065():
    here()


def f066():
    here()


def f067():
    here()


def f068():
    here()


def f069():
    here()


def f070():
    here()


def f071():
    here()


def f072():
    here()


def f073():
    here()


def f074():
    here()


def f075():
    here()


def f076():
    here()


def f077():
    here()


def f078():
    here()


def f079():
    here()


def f080():
    here()


def f081():
    here()


def f082():
    here()


def f083():
    here()


def f084():
    here()


def f085():
    here()


def f086():
    here()


def f087():
    here()


def f088():
    here()


def f089():
    here()


def f090():
    here()


def f091():
    here()


def f092():
    here()


def f093():
    here()


def f094():
    here()


def f095():
    here()


def f096():
    here()


def f097():
    here()


def f098():
    here()


def f099():
    here()


def f100():
    here()


def f101():
    here()


def f102():
    here()


def f103():
    here()


def f104():
    here()


def f105():
    here()


def f106():
    here()


def f107():
    here()


def f108():
    here()


def f109():
    here()


def f110():
    here()


def f111():
    here()


def f112():
    here()


def f113():
    here()


def f114():
    here()


def f115():
    here()


def f116():
    here()


def f117():
    here()


def f118():
    here()


def f119():
    here()


def f120():
    here()


def f121():
    here()


def f122():
    here()


def f123():
    here()


def f124():
    here()


def f125():
    here()


def f126():
    here()


def f127():
    here()


def f128():
    here()


def f129():
    here()


def f130():
    here()


def f131():
    here()


def f132():
    here()


def f133():
    here()


def f134():
    here()


def f135():
    here()


def f136():
    here()


def f137():
    here()


def f138():
    here()


def f139():
    here()


def f140():
    here()


def f141():
    here()


def f142():
    here()


def f143():
    here()


def f144():
    here()


def f145():
    here()


def f146():
    here()


def f147():
    here()


def f148():
    here()


def f149():
    here()


def f150():
    here()


def f151():
    here()


def f152():
    here()


def f153():
    here()


def f154():
    here()


def f155():
    here()


def f156():
    here()


def f157():
    here()


def f158():
    here()


def f159():
    here()


def f160():
    here()


def f161():
    here()


def f162():
    here()


def f163():
    here()


def f164():
    here()


def f165():
    here()


def f166():
    here()


def f167():
    here()


def f168():
    here()


def f169():
    here()


def f170():
    here()


def f171():
    here()


def f172():
    here()


def f173():
    here()


def f174():
    here()


def f175():
    here()


def f176():
    here()


def f177():
    here()


def f178():
    here()


def f179():
    here()


def f180():
    here()


def f181():
    here()


def f182():
    here()


def f183():
    here()


def f184():
    here()


def f185():
    here()


def f186():
    here()


def f187():
    here()


def f188():
    here()


def f189():
    here()


def f190():
    here()


def f191():
    here()


def f192():
    here()


def f193():
    here()


def f194():
    here()


def f195():
    here()


def f196():
    here()


def f197():
    here()


def f198():
    here()


def f199():
    here()


def f200():
    here()


def f201():
    here()


def f202():
    here()


def f203():
    here()


def f204():
    here()


def f205():
    here()


def f206():
    here()


def f207():
    here()


def f208():
    here()


def f209():
    here()


def f210():
    here()


def f211():
    here()


def f212():
    here()


def f213():
    here()


def f214():
    here()


def f215():
    here()


def f216():
    here()


def f217():
    here()


def f218():
    here()


def f219():
    here()


def f220():
    here()


def f221():
    here()


def f222():
    here()


def f223():
    here()


def f224():
    here()


def f225():
    here()


def f226():
    here()


def f227():
    here()


def f228():
    here()


def f229():
    here()


def f230():
    here()


def f231():
    here()


def f232():
    here()


def f233():
    here()


def f234():
    here()


def f235():
    here()


def f236():
    here()


def f237():
    here()


def f238():
    here()


def f239():
    here()


def f240():
    here()


def f241():
    here()


def f242():
    here()


def f243():
    here()


def f244():
    here()


def f245():
    here()


def f246():
    here()


def f247():
    here()


def f248():
    here()


def f249():
    here()


def f250():
    here()


def f251():
    here()


def f252():
    here()


def f253():
    here()


def f254():
    here()


def f255():
    here()


def f256():
    here()


def f257():
    here()


def f258():
    here()


def f259():
    here()


def f260():
    here()


def f261():
    here()


def f262():
    here()


def f263():
    here()


def f264():
    here()


def f265():
    here()


def f266():
    here()


def f267():
    here()


def f268():
    here()


def f269():
    here()


def f270():
    here()


def f271():
    here()


def f272():
    here()


def f273():
    here()


def f274():
    here()


def f275():
    here()


def f276():
    here()


def f277():
    here()


def f278():
    here()


def f279():
    here()


def f280():
    here()


def f281():
    here()


def f282():
    here()


def f283():
    here()


def f284():
    here()


def f285():
    here()


def f286():
    here()


def f287():
    here()


def f288():
    here()


def f289():
    here()


def f290():
    here()


def f291():
    here()


def f292():
    here()


def f293():
    here()


def f294():
    here()


def f295():
    here()


def f296():
    here()


def f297():
    here()


def f298():
    here()


def f299():
    here()


def f300():
    here()


def f301():
    here()


def f302():
    here()


def f303():
    here()


def f304():
    here()


def f305():
    here()


def f306():
    here()


def f307():
    here()


def f308():
    here()


def f309():
    here()


def f310():
    here()


def f311():
    here()


def f312():
    here()


def f313():
    here()


def f314():
    here()


def f315():
    here()


def f316():
    here()


def f317():
    here()


def f318():
    here()


def f319():
    here()


def f320():
    here()


def f321():
    here()


def f322():
    here()


def f323():
    here()


def f324():
    here()


def f325():
    here()


def f326():
    here()


def f327():
    here()


def f328():
    here()


def f329():
    here()


def f330():
    here()


def f331():
    here()


def f332():
    here()


def f333():
    here()


def f334():
    here()


def f335():
    here()


def f336():
    here()


def f337():
    here()


def f338():
    here()


def f339():
    here()


def f340():
    here()


def f341():
    here()


def f342():
    here()


def f343():
    here()


def f344():
    here()


def f345():
    here()


def f346():
    here()


def f347():
    here()


def f348():
    here()


def f349():
    here()


def f350():
    here()


def f351():
    here()


def f352():
    here()


def f353():
    here()


def f354():
    here()


def f355():
    here()


def f356():
    here()


def f357():
    here()


def f358():
    here()


def f359():
    here()
